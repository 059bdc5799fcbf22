//! Files of containers: archives in and out, export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dhow_model::ports::{ArchiveOptions, PathStat};
use dhow_model::{Error, Result};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::server::answer::{self, Answer};
use crate::server::call::Call;
use crate::server::{stream, threads};

/// Says what the path is, as base64 of JSON.
const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");
const TAR: &str = "application/x-tar";

pub(super) async fn export(call: Call, id: String) -> Answer {
    let engine = call.engine;
    stream::written("application/octet-stream", move |out| engine.export_container(&id, out)).await
}

pub(super) async fn stat(call: Call, id: String) -> Answer {
    let path = call.query.text("path").to_owned();
    let stat = call.run(move |engine| engine.stat_path(&id, &path)).await?;
    let mut response = answer::typed(StatusCode::OK, "application/json", bytes::Bytes::new());
    response.headers_mut().insert(PATH_STAT, encoded(&stat)?);
    Ok(response)
}

pub(super) async fn read(call: Call, id: String) -> Answer {
    let (path, engine) = (call.query.text("path").to_owned(), call.engine);
    stream::written(TAR, move |out| {
        let head = out.head();
        let mut begin = |stat: PathStat| head.header(PATH_STAT, encoded(&stat)?).map_err(stream::client_gone);
        engine.read_archive(&id, &path, &mut begin, out)
    })
    .await
}

pub(super) async fn write(call: Call, id: String) -> Answer {
    let options = ArchiveOptions {
        no_overwrite_dir_non_dir: call.query.is_set("noOverwriteDirNonDir"),
        copy_uid_gid: call.query.is_set("copyUIDGID"),
    };
    let (path, engine) = (call.query.text("path").to_owned(), call.engine.clone());
    let mut tar = call.into_reader();
    threads::run(move || engine.write_archive(&id, &path, options, &mut tar)).await?;
    Ok(answer::empty(StatusCode::OK))
}

fn encoded(stat: &PathStat) -> Result<HeaderValue> {
    let internal = "writing what the path is";
    let json = serde_json::to_vec(stat).map_err(|error| Error::internal(internal).because(error))?;
    HeaderValue::from_str(&STANDARD.encode(json)).map_err(|error| Error::internal(internal).because(error))
}
