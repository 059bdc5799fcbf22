//! `-v [source:]target[:options]`: a directory of the host, a named volume, or an unnamed one.

/// What a `-v` means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A volume without a name, at this path.
    Unnamed(String),
    /// A source at a target, in the form that the API takes.
    Bound(String),
}

impl Volume {
    pub(crate) fn parse(spec: &str) -> Result<Volume, String> {
        if spec.is_empty() {
            return Err("invalid empty volume spec".to_owned());
        }
        if spec.len() <= 2 {
            return Ok(Volume::Unnamed(spec.to_owned()));
        }
        let wrong = |why: &str| format!("invalid spec: {spec}: {why}");
        let parts = sections(spec);
        if parts.iter().any(String::is_empty) {
            return Err(wrong("empty section between colons"));
        }
        match parts.as_slice() {
            [_] => Ok(Volume::Unnamed(spec.to_owned())),
            [source, ..] if parts.len() <= 3 => Ok(Volume::Bound(bound(spec, source))),
            _ => Err(wrong("too many colons")),
        }
    }
}

/// Splits at colons; a letter before the first colon of a section is a drive of Windows and keeps it.
fn sections(spec: &str) -> Vec<String> {
    let mut sections = Vec::new();
    let mut section = String::new();
    for character in spec.chars() {
        let is_drive = section.chars().count() == 1 && section.starts_with(char::is_alphabetic);
        if character == ':' && !is_drive {
            sections.push(std::mem::take(&mut section));
        } else {
            section.push(character);
        }
    }
    sections.push(section);
    sections
}

fn bound(spec: &str, source: &str) -> String {
    match spec.split_once(':') {
        Some((host, rest)) if source.starts_with('.') => format!("{}:{rest}", absolute(host)),
        _ => spec.to_owned(),
    }
}

/// A path that begins with a dot is taken from the working directory of the command.
pub(crate) fn absolute(path: &str) -> String {
    if !path.starts_with('.') {
        return path.to_owned();
    }
    match std::env::current_dir() {
        Ok(folder) => super::device::clean(&format!("{}/{path}", folder.display())),
        Err(_) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_unnamed_named_or_a_directory() {
        assert_eq!(Volume::parse("/data"), Ok(Volume::Unnamed("/data".to_owned())));
        assert_eq!(Volume::parse("name:/data"), Ok(Volume::Bound("name:/data".to_owned())));
        assert_eq!(Volume::parse("/host:/data:ro,z"), Ok(Volume::Bound("/host:/data:ro,z".to_owned())));
        let here = std::env::current_dir().unwrap();
        assert_eq!(Volume::parse("./x/../y:/data"), Ok(Volume::Bound(format!("{}/y:/data", here.display()))));
        assert_eq!(Volume::parse("").unwrap_err(), "invalid empty volume spec");
        assert_eq!(
            Volume::parse("/ab::ro").unwrap_err(),
            "invalid spec: /ab::ro: empty section between colons"
        );
        assert_eq!(Volume::parse("/ab:/b:ro:x").unwrap_err(), "invalid spec: /ab:/b:ro:x: too many colons");
    }
}
