/* A JPEG file in memory, decoded line by line by libjpeg.
 *
 * libjpeg reports an error by a call that must not return. Every function here therefore sets a
 * place to jump to before it calls libjpeg, so that no jump ever leaves this file. After a status
 * other than DECODED a decoder is only good for being freed.
 */
#include <limits.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

enum status { DECODED, DAMAGED, OUT_OF_MEMORY };

struct qvl_jpeg {
    struct jpeg_decompress_struct libjpeg;
    struct jpeg_error_mgr errors;
    enum status status;
    jmp_buf failed;
};

static void stop(j_common_ptr libjpeg, enum status status) {
    struct qvl_jpeg *jpeg = libjpeg->client_data;
    jpeg->status = status;
    longjmp(jpeg->failed, 1);
}

static void stop_at_error(j_common_ptr libjpeg) {
    stop(libjpeg, libjpeg->err->msg_code == JERR_OUT_OF_MEMORY ? OUT_OF_MEMORY : DAMAGED);
}

/* Levels below zero are warnings of a damaged file, the others trace what is being done. */
static void stop_at_warning(j_common_ptr libjpeg, int level) {
    if (level < 0) stop(libjpeg, DAMAGED);
}

static void say_nothing(j_common_ptr libjpeg) { (void)libjpeg; }

/* A decoder that waits for its file, or NULL if there is no memory for it. */
struct qvl_jpeg *qvl_jpeg_new(void) {
    struct qvl_jpeg *jpeg = calloc(1, sizeof *jpeg);
    if (jpeg == NULL) return NULL;
    jpeg->libjpeg.err = jpeg_std_error(&jpeg->errors);
    jpeg->libjpeg.client_data = jpeg;
    jpeg->errors.error_exit = stop_at_error;
    jpeg->errors.emit_message = stop_at_warning;
    jpeg->errors.output_message = say_nothing;
    return jpeg;
}

/* Reads the header, and of a file with several scans all of them into memory.
 *
 * The file must stay where it is until the decoder is freed. The image is reduced by `divisor`
 * (1, 2, 4 or 8); `most_memory` bounds what the coefficients of several scans may take.
 */
int qvl_jpeg_start(struct qvl_jpeg *jpeg, const unsigned char *file, size_t length,
                   unsigned divisor, size_t most_memory) {
    j_decompress_ptr libjpeg = &jpeg->libjpeg;
    if (setjmp(jpeg->failed)) return jpeg->status;
    jpeg_create_decompress(libjpeg);
    jpeg_mem_src(libjpeg, file, length);
    jpeg_read_header(libjpeg, TRUE);
    libjpeg->out_color_space = libjpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    libjpeg->scale_num = 1;
    libjpeg->scale_denom = divisor;
    libjpeg->mem->max_memory_to_use = most_memory < LONG_MAX ? (long)most_memory : LONG_MAX;
    jpeg_start_decompress(libjpeg);
    return DECODED;
}

unsigned qvl_jpeg_height(const struct qvl_jpeg *jpeg) { return jpeg->libjpeg.output_height; }

unsigned qvl_jpeg_width(const struct qvl_jpeg *jpeg) { return jpeg->libjpeg.output_width; }

unsigned qvl_jpeg_channels(const struct qvl_jpeg *jpeg) {
    return (unsigned)jpeg->libjpeg.output_components;
}

/* Decodes the next `lines`, packed, to `out`. With the last line the rest of the file is read. */
int qvl_jpeg_read(struct qvl_jpeg *jpeg, unsigned char *out, unsigned lines) {
    j_decompress_ptr libjpeg = &jpeg->libjpeg;
    if (setjmp(jpeg->failed)) return jpeg->status;
    const size_t line = (size_t)libjpeg->output_width * libjpeg->output_components;
    const JDIMENSION start = libjpeg->output_scanline, end = start + lines;
    while (libjpeg->output_scanline < end) {
        JSAMPROW next = out + (libjpeg->output_scanline - start) * line;
        jpeg_read_scanlines(libjpeg, &next, 1);
    }
    if (end == libjpeg->output_height) jpeg_finish_decompress(libjpeg);
    return DECODED;
}

/* Passes over the next `lines`, which must not be all that are left: libjpeg would not look at
 * their data. */
int qvl_jpeg_skip(struct qvl_jpeg *jpeg, unsigned lines) {
    if (setjmp(jpeg->failed)) return jpeg->status;
    jpeg_skip_scanlines(&jpeg->libjpeg, lines);
    return DECODED;
}

void qvl_jpeg_free(struct qvl_jpeg *jpeg) {
    jpeg_destroy_decompress(&jpeg->libjpeg);
    free(jpeg);
}
