// A plugin of qemu that counts the instructions a program executes, for benches/instructions.py. What it
// takes of qemu's interface (docs/devel/tcg-plugins) is declared here, as Debian ships no header for it.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct qemu_plugin_tb;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t plugin,
                                           void (*translated)(uint64_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *block, int operation,
                                              void *counter, uint64_t amount);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_atexit_cb(uint64_t plugin, void (*finished)(uint64_t, void *), void *data);

enum { ADD = 0 };

int qemu_plugin_version = 1;

static uint64_t count;

static void translated(uint64_t plugin, struct qemu_plugin_tb *block) {
    (void)plugin;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD, &count, qemu_plugin_tb_n_insns(block));
}

static void finished(uint64_t plugin, void *data) {
    (void)plugin;
    (void)data;
    fprintf(stderr, "Collected : %llu\n", (unsigned long long)count);
}

int qemu_plugin_install(uint64_t plugin, const void *machine, int argc, char **argv) {
    (void)machine;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
    qemu_plugin_register_atexit_cb(plugin, finished, NULL);
    return 0;
}
