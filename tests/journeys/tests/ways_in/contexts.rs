//! Contexts: what one command line writes, the other reads.

use anyhow::Result;

use crate::place::{Place, certificates};

#[test]
fn a_context_of_either_command_line_is_one_of_both() -> Result<()> {
    let place = Place::new()?;
    let engine = place.engine("", &[])?;
    let dhow = place.program("")?.display().to_string();
    let host = format!("host={}", engine.host());
    for (maker, user) in [("docker", dhow.as_str()), (dhow.as_str(), "docker")] {
        let create = ["context", "create", "there", "--description", "over there", "--docker", &host];
        assert_eq!(place.run(maker, &create)?.ok(), "there");
        assert_eq!(place.run(maker, &["context", "use", "there"])?.ok(), "there");
        assert_eq!(place.run(user, &["context", "show"])?.ok(), "there");
        assert_eq!(place.run(user, &["ps", "-q"])?.ok(), "");
        let inspected =
            |program: &str| Ok::<_, anyhow::Error>(place.run(program, &["context", "inspect"])?.stdout);
        assert_eq!(inspected(maker)?, inspected(user)?);
        let listed =
            |program: &str| Ok::<_, anyhow::Error>(place.run(program, &["context", "ls", "-q"])?.stdout);
        assert_eq!(listed(maker)?, listed(user)?);
        let in_use = place.run(user, &["context", "rm", "there"])?;
        assert!(in_use.stderr.contains("is in use, set -f flag to force remove"), "{}", in_use.stderr);
        assert_eq!(place.run(user, &["context", "rm", "-f", "there"])?.ok(), "there");
        assert_eq!(place.run(maker, &["context", "show"])?.ok(), "default");
    }
    Ok(())
}

#[test]
fn a_context_with_its_certificates_travels_in_an_archive() -> Result<()> {
    let place = Place::new()?;
    certificates(place.folder.path())?;
    let dhow = place.program("")?.display().to_string();
    let pem = |name: &str| place.path(&format!("client/{name}.pem"));
    let docker =
        format!("host=tcp://127.0.0.1:2376,ca={},cert={},key={}", pem("ca"), pem("cert"), pem("key"));
    for (maker, user) in [("docker", dhow.as_str()), (dhow.as_str(), "docker")] {
        let archive = place.path("archive");
        assert_eq!(place.run(maker, &["context", "create", "there", "--docker", &docker])?.ok(), "there");
        place.run(maker, &["context", "export", "there", &archive])?.check()?;
        assert_eq!(place.run(user, &["context", "import", "again", &archive])?.ok(), "again");
        let format = "{{.Endpoints.docker.Host}} {{json .TLSMaterial}}";
        let shown = place.run(user, &["context", "inspect", "-f", format, "again"])?;
        assert_eq!(shown.ok(), r#"tcp://127.0.0.1:2376 {"docker":["ca.pem","cert.pem","key.pem"]}"#);
        place.run(user, &["context", "rm", "there", "again"])?.check()?;
        std::fs::remove_file(archive)?;
    }
    Ok(())
}

#[test]
fn what_is_no_context_is_refused_in_dockers_words() -> Result<()> {
    let place = Place::new()?;
    let dhow = place.program("")?.display().to_string();
    for arguments in [
        &["context", "create", "default", "--docker", "host=unix:///x"][..],
        &["context", "create", "x", "--docker", "host=unix:///x"],
        &["context", "create", "two words", "--docker", "host=unix:///x"],
        &["context", "create", "there", "--docker", "host=nowhere"],
        &["context", "create", "there", "--docker", "hist=unix:///x"],
        &["context", "create", "there", "--docker", "host=unix:///x,ca=/no/such/file"],
        &["context", "use", "there"],
        &["context", "rm", "there"],
        &["context", "rm", "default"],
        &["context", "update", "there", "--description", "x"],
        &["--context", "there", "ps"],
        &["--context", "there", "-H", "unix:///x", "ps"],
    ] {
        let (docker, ours) = (place.run("docker", arguments)?, place.run(&dhow, arguments)?);
        assert_eq!((ours.status, ours.stderr), (docker.status, docker.stderr), "{arguments:?}");
    }
    Ok(())
}
