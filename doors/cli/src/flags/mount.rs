//! `--mount type=…,source=…,target=…`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{bytes, csv, number};

/// A mount as the API takes it. What is not set is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount {
    r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    target: String,
    #[serde(skip_serializing_if = "is_false")]
    read_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    propagation: String,
    #[serde(skip_serializing_if = "is_false")]
    non_recursive: bool,
    #[serde(skip_serializing_if = "is_false")]
    create_mountpoint: bool,
    #[serde(skip_serializing_if = "is_false")]
    read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "is_false")]
    read_only_force_recursive: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    id_map: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeOptions {
    #[serde(skip_serializing_if = "is_false")]
    no_copy: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    subpath: String,
    driver_config: Driver,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Driver {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    subpath: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    size_bytes: i64,
    #[serde(skip_serializing_if = "is_zero")]
    mode: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl Mount {
    /// Reads the comma-separated form.
    pub(crate) fn parse(value: &str) -> Result<Mount, String> {
        let mut mount = Mount { r#type: "volume".to_owned(), ..Mount::default() };
        for field in csv::fields(value)? {
            match field.split_once('=') {
                Some((key, setting)) => mount.set(&key.to_lowercase(), setting, &field)?,
                None => mount.switch_on(&field)?,
            }
        }
        mount.validate()?;
        Ok(mount)
    }

    fn switch_on(&mut self, field: &str) -> Result<(), String> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => self.read_only = true,
            "volume-nocopy" => self.volume().no_copy = true,
            "bind-nonrecursive" => self.bind().non_recursive = true,
            "bind-create-src" => self.bind().create_mountpoint = true,
            "bind-idmap" => self.bind().id_map = "owner".to_owned(),
            _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, field: &str) -> Result<(), String> {
        match key {
            "type" => self.r#type = value.to_lowercase(),
            "source" | "src" => self.source = super::volume::absolute(value),
            "target" | "dst" | "destination" => self.target = value.to_owned(),
            "readonly" | "ro" => self.read_only = truth(key, value)?,
            "consistency" => self.consistency = value.to_lowercase(),
            _ if key.starts_with("bind-") => return self.set_bind(key, value, field),
            _ if key.starts_with("volume-") => return self.set_volume(key, value, field),
            "image-subpath" => self.image_options = Some(ImageOptions { subpath: value.to_owned() }),
            "tmpfs-size" => {
                self.tmpfs().size_bytes = bytes::binary(value).map_err(|why| invalid(key, value, &why))?
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_| octal_words(key, value))?;
                self.tmpfs().mode = i64::from(mode);
            }
            _ => return Err(unexpected(key, field)),
        }
        Ok(())
    }

    fn set_bind(&mut self, key: &str, value: &str, field: &str) -> Result<(), String> {
        match (key, value) {
            ("bind-propagation", _) => self.bind().propagation = value.to_lowercase(),
            ("bind-nonrecursive", _) => self.bind().non_recursive = truth(key, value)?,
            ("bind-create-src", _) => self.bind().create_mountpoint = truth(key, value)?,
            ("bind-idmap", _) => self.bind().id_map = value.to_owned(),
            ("bind-recursive", "enabled") => {}
            ("bind-recursive", "disabled") => self.bind().non_recursive = true,
            ("bind-recursive", "writable") => self.bind().read_only_non_recursive = true,
            ("bind-recursive", "readonly") => self.bind().read_only_force_recursive = true,
            ("bind-recursive", _) => {
                let choices = "(must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")";
                return Err(format!("invalid value for {key}: {value} {choices}"));
            }
            _ => return Err(unexpected(key, field)),
        }
        Ok(())
    }

    fn set_volume(&mut self, key: &str, value: &str, field: &str) -> Result<(), String> {
        let pair = || match value.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (value.to_owned(), String::new()),
        };
        match key {
            "volume-subpath" => self.volume().subpath = value.to_owned(),
            "volume-nocopy" => {
                let set = number::boolean(value)
                    .map_err(|_| format!("invalid value for volume-nocopy: {value}"))?;
                self.volume().no_copy = set;
            }
            "volume-label" => {
                self.volume().labels.extend([pair()].into_iter().filter(|(key, _)| !key.is_empty()))
            }
            "volume-driver" => self.volume().driver_config.name = value.to_owned(),
            "volume-opt" => {
                self.volume()
                    .driver_config
                    .options
                    .extend([pair()].into_iter().filter(|(key, _)| !key.is_empty()));
            }
            _ => return Err(unexpected(key, field)),
        }
        Ok(())
    }

    fn bind(&mut self) -> &mut BindOptions {
        self.bind_options.get_or_insert_default()
    }

    fn volume(&mut self) -> &mut VolumeOptions {
        self.volume_options.get_or_insert_default()
    }

    fn tmpfs(&mut self) -> &mut TmpfsOptions {
        self.tmpfs_options.get_or_insert_default()
    }

    fn validate(&self) -> Result<(), String> {
        if self.r#type.is_empty() {
            return Err("type is required".to_owned());
        }
        if self.target.is_empty() {
            return Err("target is required".to_owned());
        }
        for (kind, given) in [
            ("volume", self.volume_options.is_some()),
            ("image", self.image_options.is_some()),
            ("bind", self.bind_options.is_some()),
            ("tmpfs", self.tmpfs_options.is_some()),
        ] {
            if given && self.r#type != kind {
                return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", self.r#type));
            }
        }
        self.bind_options.as_ref().map_or(Ok(()), |bind| self.validate_recursion(bind))
    }

    fn validate_recursion(&self, bind: &BindOptions) -> Result<(), String> {
        let requires = |option: &str, what: &str| {
            Err(format!("option 'bind-recursive={option}' requires '{what}' to be specified in conjunction"))
        };
        if bind.read_only_non_recursive && !self.read_only {
            return requires("writable", "readonly");
        }
        if bind.read_only_force_recursive && !self.read_only {
            return requires("readonly", "readonly");
        }
        if bind.read_only_force_recursive && bind.propagation != "rprivate" {
            return requires("readonly", "bind-propagation=rprivate");
        }
        Ok(())
    }
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    number::boolean(value).map_err(|_| format!("invalid value for {key}: {value}"))
}

fn invalid(key: &str, value: &str, _why: &str) -> String {
    format!("invalid value for {key}: {value}")
}

fn octal_words(key: &str, value: &str) -> String {
    format!("invalid value for {key}: {value}")
}

fn unexpected(key: &str, field: &str) -> String {
    format!("unexpected key '{key}' in '{field}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &str) -> String {
        serde_json::to_string(&Mount::parse(value).unwrap()).unwrap()
    }

    #[test]
    fn every_type_has_its_options() {
        insta::assert_snapshot!(json("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave"), @r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}}"#);
        insta::assert_snapshot!(json("src=v,dst=/b,volume-nocopy,volume-label=a=b,volume-opt=o=bind"), @r#"{"Type":"volume","Source":"v","Target":"/b","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"DriverConfig":{"Options":{"o":"bind"}}}}"#);
        insta::assert_snapshot!(json("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770"), @r#"{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1016}}"#);
        insta::assert_snapshot!(json("type=image,src=busybox,dst=/i,image-subpath=bin"), @r#"{"Type":"image","Source":"busybox","Target":"/i","ImageOptions":{"Subpath":"bin"}}"#);
    }

    #[test]
    fn what_is_wrong_is_said_in_docker_s_words() {
        let words = |value| Mount::parse(value).unwrap_err();
        assert_eq!(words("type=bind,src=/a"), "target is required");
        assert_eq!(words("type=,dst=/a"), "type is required");
        assert_eq!(words("dst=/a,x=y"), "unexpected key 'x' in 'x=y'");
        assert_eq!(words("dst=/a,x"), "invalid field 'x' must be a key=value pair");
        assert_eq!(words("dst=/a,ro=maybe"), "invalid value for ro: maybe");
        assert_eq!(
            words("type=bind,dst=/a,volume-nocopy"),
            "cannot mix 'volume-*' options with mount type 'bind'"
        );
        assert_eq!(
            words("type=bind,src=/a,dst=/a,bind-recursive=writable"),
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction"
        );
    }
}
