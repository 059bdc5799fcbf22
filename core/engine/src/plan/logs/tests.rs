//! Drivers and options, as they are read and refused.

use super::*;

fn read(driver: &str, pairs: &[(&str, &str)]) -> Result<LogOptions> {
    let config = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let source = Source { id: "a".repeat(64), name: "web".into(), ..Source::default() };
    options(&LogConfig { kind: driver.into(), config }, &source)
}

#[test]
fn how_much_is_kept_is_bounded_unless_somebody_says_otherwise() {
    const DEFAULT: Option<u64> = Some(20 << 20);
    for (driver, options, expected) in [
        ("json-file", &[][..], (DEFAULT, 5, true)),
        ("", &[], (DEFAULT, 5, true)),
        ("json-file", &[("max-file", "3")], (DEFAULT, 3, true)),
        ("json-file", &[("max-file", "1")], (DEFAULT, 1, false)),
        ("json-file", &[("compress", "false")], (DEFAULT, 5, false)),
        ("json-file", &[("max-size", "10m")], (Some(10_000_000), 1, false)),
        ("json-file", &[("max-size", "10m"), ("max-file", "3")], (Some(10_000_000), 3, false)),
        ("json-file", &[("max-size", "1k"), ("max-file", "3"), ("compress", "1")], (Some(1000), 3, true)),
        ("json-file", &[("max-size", "-1")], (None, 1, false)),
        ("local", &[], (DEFAULT, 5, true)),
        ("local", &[("max-size", "10m")], (Some(10_000_000), 5, true)),
        ("local", &[("max-file", "1"), ("compress", "false")], (DEFAULT, 1, false)),
        ("syslog", &[], (DEFAULT, 5, true)),
        ("syslog", &[("cache-max-size", "1k"), ("cache-max-file", "2")], (Some(1000), 2, true)),
    ] {
        let file = read(driver, options).unwrap().file.unwrap();
        assert_eq!((file.max_size, file.max_files, file.compress), expected, "{driver} {options:?}");
    }
}

#[test]
fn what_is_wrong_is_refused_in_dockers_words() {
    let init = "failed to create task for container: failed to initialize logging driver: ";
    for (driver, option, words) in [
        ("json-file", ("nope", "1"), "unknown log opt 'nope' for json-file log driver".to_owned()),
        ("local", ("nope", "1"), "unknown log opt 'nope' for log driver local".into()),
        ("syslog", ("x", "1"), "unknown log opt 'x' for syslog log driver".into()),
        ("journald", ("max-size", "1m"), "unknown log opt 'max-size' for journald log driver".into()),
        ("gelf", ("tag", "x"), "logger: no log driver named 'gelf' is registered".into()),
        ("x", ("tag", "x"), "error looking up logging plugin x: plugin \"x\" not found".into()),
        ("json-file", ("mode", "foo"), "logger: logging mode not supported: foo".into()),
        (
            "json-file",
            ("max-buffer-size", "1m"),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'".into(),
        ),
        ("json-file", ("cache-disabled", "foo"), "invalid value for option cache-disabled: foo".into()),
        ("json-file", ("max-size", "ten"), format!("{init}invalid size: 'ten'")),
        ("json-file", ("max-size", "0"), format!("{init}max-size must be a positive number")),
        ("json-file", ("max-file", "0"), format!("{init}max-file cannot be less than 1")),
        ("json-file", ("max-file", "x"), format!("{init}strconv.Atoi: parsing \"x\": invalid syntax")),
        ("json-file", ("compress", "y"), format!("{init}strconv.ParseBool: parsing \"y\": invalid syntax")),
        ("local", ("max-size", "x"), format!("{init}invalid value for max-size: x: invalid size: 'x'")),
        ("local", ("max-file", "1"), String::new()),
        ("syslog", ("syslog-facility", "x"), "invalid syslog facility".into()),
        ("syslog", ("syslog-format", "x"), "Invalid syslog format".into()),
    ] {
        match read(driver, &[option]) {
            Err(error) => assert_eq!(error.to_string(), words, "{driver} {option:?}"),
            Ok(_) => assert_eq!(words, "", "{driver} {option:?}"),
        }
    }
    let both = [("mode", "non-blocking"), ("max-buffer-size", "xx")];
    let error = read("json-file", &both).unwrap_err().to_string();
    assert_eq!(error, "error parsing option max-buffer-size: invalid size: 'xx'");
    let compressed = [("max-size", "10m"), ("compress", "true")];
    assert!(read("json-file", &compressed).unwrap_err().to_string().contains("compress cannot be true"));
    assert_eq!(read("none", &[("anything", "1")]).unwrap(), LogOptions::default());
}

#[test]
fn a_service_has_a_file_beside_it_unless_that_is_disabled() {
    let with = read("journald", &[]).unwrap();
    assert_eq!(with.file.unwrap().kind, LogFileKind::Cache);
    let without = read("journald", &[("cache-disabled", "true"), ("labels", "a")]).unwrap();
    assert!(without.file.is_none());
    let LogReceiver::Journald(fields) = without.service.unwrap().receiver else { panic!() };
    assert_eq!(fields["CONTAINER_NAME"], "web");
    assert_eq!(fields["SYSLOG_IDENTIFIER"], "a".repeat(12));
}

#[test]
fn entries_are_dropped_only_where_that_was_asked_for() {
    let beyond = |options: &[(&str, &str)]| read("syslog", options).unwrap().service.unwrap().drop_beyond;
    assert_eq!(beyond(&[]), None);
    assert_eq!(beyond(&[("mode", "blocking")]), None);
    assert_eq!(beyond(&[("mode", "non-blocking")]), Some(1_000_000));
    assert_eq!(beyond(&[("mode", "non-blocking"), ("max-buffer-size", "4k")]), Some(4096));
}
