//! Stories of descriptors: what of the runtime's a container can name, or take.

use serde_json::json;

use crate::Story;
use crate::bundle::{Bundle, told};

pub(crate) const ALL: &[(&str, Story)] = &[
    ("no descriptor of the runtime is a directory to begin in", no_descriptor_is_a_directory_to_begin_in),
    ("no descriptor of the runtime leads to a program of the host", none_leads_to_a_program_of_the_host),
    ("a program has three descriptors", a_program_has_three_descriptors),
];

/// More than the runtime has open at any time.
const NUMBERS: std::ops::Range<u32> = 3..40;

/// What is refused, or is the container's own: `/` seen from there has this file.
fn is_inside(output: &std::process::Output) -> bool {
    !output.status.success() || told(output).trim() == "inside"
}

/// CVE-2024-21626: the working directory was a directory of the host that the runtime had open.
fn no_descriptor_is_a_directory_to_begin_in(bundle: &Bundle) {
    std::fs::write(bundle.rootfs().join("inside"), "").unwrap();
    let script = "/bin/busybox ls -d inside || echo OUTSIDE; exit 0";
    for number in NUMBERS {
        let mut config = bundle.config(script);
        config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let output = bundle.run(&config);
        assert!(is_inside(&output), "descriptor {number} at run: {}", told(&output));
    }
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    for number in NUMBERS {
        let directory = format!("/proc/self/fd/{number}");
        let output = bundle.exec(&["--cwd", &directory], &["/bin/busybox", "sh", "-c", script]);
        assert!(is_inside(&output), "descriptor {number} at exec: {}", told(&output));
    }
}

/// The same, with a program (attack 3b of the advisory): what runs is a file of the host, which root in
/// the container could then write to through `/proc/self/exe`.
fn none_leads_to_a_program_of_the_host(bundle: &Bundle) {
    // Beside the root file system; busybox wants to be called so.
    let host = bundle.path().join("busybox");
    std::fs::copy("/bin/busybox", &host).unwrap();
    let climb = |number| format!("/proc/self/fd/{number}/../../../../../../../../../..{}", host.display());
    for number in NUMBERS {
        let mut config = bundle.config("");
        config["process"]["args"] = json!([climb(number), "true"]);
        assert!(!bundle.run(&config).status.success(), "descriptor {number} at run");
    }
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    for number in NUMBERS {
        let output = bundle.exec(&[], &[&climb(number), "true"]);
        assert!(!output.status.success(), "descriptor {number} at exec");
    }
}

fn a_program_has_three_descriptors(bundle: &Bundle) {
    // The fourth is the listing's own.
    let list = ["/bin/busybox", "ls", "/proc/self/fd"];
    let mut config = bundle.config("");
    config["process"]["args"] = json!(list);
    assert_eq!(told(&bundle.run(&config)), "0\n1\n2\n3\n");
    bundle.start(&bundle.config("exec /bin/busybox sleep 1000"));
    assert_eq!(told(&bundle.exec(&[], &list)), "0\n1\n2\n3\n");
}
