//! The name of an engine's table in the firewall.

use std::path::Path;

/// The data directory of the engine whose table has the plain name.
const USUAL: &str = "/var/lib/dhow";

/// Bytes of a path that a name shows.
const READABLE: usize = 48;

/// The name of the engine's table: two engines of one host have two.
pub(super) fn table(data_root: &Path) -> String {
    if data_root == Path::new(USUAL) {
        return "dhow".to_owned();
    }
    let bytes = data_root.as_os_str().as_encoded_bytes();
    let good = |byte: &u8| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '-' };
    let readable: String = bytes.iter().map(good).take(READABLE).collect();
    if bytes.len() <= READABLE && bytes.iter().all(|byte| *byte == b'/' || byte.is_ascii_alphanumeric()) {
        return format!("dhow{readable}");
    }
    // What is cut or written otherwise does not make two paths one. FNV-1a: nobody chooses paths to have the same.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("dhow{readable}-{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_with_other_data_have_tables_of_other_names() {
        let names = |paths: [&str; 2]| paths.map(|path| table(Path::new(path)));
        assert_eq!(names([USUAL, "/srv/data"]), ["dhow", "dhow-srv-data"]);
        let long = "/very".repeat(40);
        for [one, other] in [
            names([&format!("/a{long}"), &format!("/b{long}")]),
            names([&format!("{long}/a"), &format!("{long}/b")]),
            names(["/srv/a-b", "/srv/a/b"]),
            names(["/srv/\u{e9}", "/srv/\u{e8}"]),
        ] {
            assert!(one != other && one.len() < 80, "{one} {other}");
        }
    }
}
