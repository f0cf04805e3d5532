//! How much memory there is for this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of the machine, or fewer if a control group of this process has fewer, as in a container; as it
/// was when first asked for. Without end where the system does not tell as Linux does.
pub(super) fn memory() -> usize {
    // No lock: a child of a fork might find it held for ever.
    static MEMORY: AtomicUsize = AtomicUsize::new(0);
    match MEMORY.load(Relaxed) {
        0 => {
            let memory = read();
            MEMORY.store(memory, Relaxed);
            memory
        }
        memory => memory,
    }
}

fn read() -> usize {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let groups = limit_files(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
    let limits = groups
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    let machine = total(&read("/proc/meminfo")).unwrap_or(usize::MAX);
    limits.fold(machine, usize::min).max(1)
}

/// The memory of a machine whose `/proc/meminfo` this is.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.strip_prefix("MemTotal:")?;
    let kibibytes: usize = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Files that hold limits of a process of the given `/proc/self/cgroup` and `/proc/self/mountinfo`: of its
/// own group and of those around it. Where there is no limit, a file holds a word or a number beyond any
/// machine.
fn limit_files(cgroup: &str, mountinfo: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in mountinfo.lines() {
        let Some(Mount { root, place, kind }) = Mount::of(line) else {
            continue;
        };
        let group = cgroup.lines().find_map(|line| kind.group(line));
        // A container may see its own group as the root of all.
        let Some(group) = group.and_then(|group| Path::new(group).strip_prefix(root).ok()) else {
            continue;
        };
        files.extend(group.ancestors().map(|group| {
            let file = Path::new(place).join(group);
            file.join(kind.limit_file())
        }));
    }
    files
}

/// Where a hierarchy of control groups is seen.
struct Mount<'a> {
    /// The group that is seen at `place`.
    root: &'a str,
    place: &'a str,
    kind: Kind,
}

/// The hierarchies that limit memory.
#[derive(Clone, Copy)]
enum Kind {
    /// That of version 1 for memory.
    Memory,
    /// That of version 2.
    Unified,
}

impl<'a> Mount<'a> {
    /// What a line of `/proc/self/mountinfo` tells of: `36 35 98:0 /root /place options... - type source
    /// options`.
    fn of(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut system = system.split(' ');
        let kind = match system.next()? {
            "cgroup2" => Kind::Unified,
            "cgroup" if system.nth(1)?.split(',').any(|option| option == "memory") => Kind::Memory,
            _ => return None,
        };
        Some(Self {
            root: mount.next()?,
            place: mount.next()?,
            kind,
        })
    }
}

impl Kind {
    /// The group that a line of `/proc/self/cgroup` tells of, if it is of this hierarchy:
    /// `4:memory:/group`, or `0::/group` for version 2.
    fn group(self, line: &str) -> Option<&str> {
        let (number, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_this = match self {
            Self::Memory => controllers
                .split(',')
                .any(|controller| controller == "memory"),
            Self::Unified => number == "0" && controllers.is_empty(),
        };
        is_this.then_some(group)
    }

    fn limit_file(self) -> &'static str {
        match self {
            Self::Memory => "memory.limit_in_bytes",
            Self::Unified => "memory.max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(cgroup: &str, mountinfo: &str) -> Vec<String> {
        let files = limit_files(cgroup, mountinfo);
        files
            .iter()
            .map(|file| file.display().to_string())
            .collect()
    }

    #[test]
    fn groups_of_version_2() {
        let mountinfo = "\
            22 27 0:21 / /proc rw,nosuid shared:14 - proc proc rw\n\
            31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            files("0::/user.slice/shell.scope\n", mountinfo),
            [
                "/sys/fs/cgroup/user.slice/shell.scope/memory.max",
                "/sys/fs/cgroup/user.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(files("0::/\n", mountinfo), ["/sys/fs/cgroup/memory.max"]);
    }

    #[test]
    fn groups_of_version_1_beside_those_of_version_2() {
        let cgroup = "9:name=systemd:/\n4:cpu,memory:/jobs/7\n1:cpu:/other\n0::/\n";
        let mountinfo = "\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(
            files(cgroup, mountinfo),
            [
                "/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/unified/memory.max",
            ]
        );
    }

    #[test]
    fn a_container_sees_its_group_as_the_root() {
        let mountinfo =
            "35 31 0:32 /docker/ab12 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(
            files("4:memory:/docker/ab12/inner\n", mountinfo),
            [
                "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        // A group that is not seen from here.
        assert!(files("4:memory:/elsewhere\n", mountinfo).is_empty());
    }

    #[test]
    fn nothing_is_made_of_what_is_not_understood() {
        for text in ["", "\n", "a b - c", "1 2 3 - cgroup", "0:", "4:memory"] {
            assert!(files(text, text).is_empty());
        }
        assert_eq!(
            total("MemTotal:       24684084 kB\nMemFree: 1 kB\n"),
            Some(24_684_084 << 10)
        );
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells() {
        assert!((1 << 20..1 << 50).contains(&memory()));
        assert_eq!(memory(), memory());
    }
}
