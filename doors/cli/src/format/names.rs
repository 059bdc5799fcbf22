//! Ids and image names in their short forms.

/// The first twelve digits of an id, without its algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// An image name without the parts that go without saying: `docker.io/library/x:1` is `x:1`.
pub(crate) fn familiar(name: &str) -> &str {
    let name =
        name.strip_prefix("index.docker.io/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
    match name.strip_prefix("library/") {
        Some(rest) if !rest.contains('/') => rest,
        _ => name,
    }
}

/// A repository's name in full: `x` is `docker.io/library/x`.
pub(crate) fn canonical(repository: &str) -> String {
    match repository.split_once('/') {
        _ if repository.is_empty() => String::new(),
        None => format!("docker.io/library/{repository}"),
        // No repository has capitals: what has them can only be a host.
        Some((host, _))
            if host.contains(|c: char| c == '.' || c == ':' || c.is_uppercase()) || host == "localhost" =>
        {
            repository.to_owned()
        }
        Some(_) => format!("docker.io/{repository}"),
    }
}

/// Splits a familiar name into repository and tag.
pub(crate) fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// The name with the tag that is meant where none is given.
pub(crate) fn with_default_tag(name: &str) -> String {
    let name = familiar(name);
    match split_tag(name) {
        (_, None) if !name.contains('@') => format!("{name}:latest"),
        _ => name.to_owned(),
    }
}

/// Shortens a text to a width, the last place taken by `…`.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Orders `80/tcp` before `443/tcp`, and `a2` before `a10`: numbers by what they count.
pub(crate) fn natural(name: &str) -> (Vec<(char, usize, &str)>, &str) {
    let mut key = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (part, tail) = rest.split_at(digits.max(first.len_utf8()));
        let number = if digits > 0 { part.trim_start_matches('0') } else { "" };
        // A number is where its digits are among the letters.
        key.push((if digits > 0 { '0' } else { first }, number.len(), number));
        rest = tail;
    }
    (key, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_what_they_count() {
        let mut names = ["b", "a10", "a2", "69d", "1475e", "a-1", "A", "a02"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["69d", "1475e", "A", "a-1", "a02", "a2", "a10", "b"]);
    }

    #[test]
    fn names_lose_what_goes_without_saying() {
        assert_eq!(familiar("docker.io/library/busybox:1"), "busybox:1");
        assert_eq!(familiar("docker.io/user/app"), "user/app");
        assert_eq!(familiar("ghcr.io/library/app"), "ghcr.io/library/app");
        assert_eq!(split_tag("host:5000/app"), ("host:5000/app", None));
        assert_eq!(split_tag("host:5000/app:1"), ("host:5000/app", Some("1")));
        assert_eq!(with_default_tag("busybox"), "busybox:latest");
        assert_eq!(with_default_tag("busybox@sha256:1"), "busybox@sha256:1");
        let full = [
            ("x", "docker.io/library/x"),
            ("a/x", "docker.io/a/x"),
            ("h:5/x", "h:5/x"),
            ("H/x", "H/x"),
            ("", ""),
        ];
        assert!(full.iter().all(|(name, expected)| canonical(name) == *expected));
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
    }
}
