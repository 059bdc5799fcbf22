//! Images in and out: load, import, save.

use std::io::Write;
use std::sync::Arc;

use dhow_engine::Engine;
use dhow_engine::images::import::Import;
use dhow_engine::images::named;
use dhow_model::image::Loaded;
use dhow_model::ports::LoadProgress;
use dhow_model::{Error, Result};
use serde_json::{Value, json};

use crate::server::answer::Answer;
use crate::server::call::Call;
use crate::server::end::End;
use crate::server::problem;
use crate::server::stream::{self, AnswerWriter};

use super::importing::Importing;

const TAR: &str = "application/x-tar";
const JSON: &str = "application/json";

pub(super) async fn get_one(call: Call, name: String) -> Answer {
    save(call, vec![name]).await
}

pub(super) async fn get_many(call: Call) -> Answer {
    let names = call.query.all("names").map(str::to_owned).collect();
    save(call, names).await
}

async fn save(call: Call, names: Vec<String>) -> Answer {
    let platform = call.platform_since(48)?;
    let items = call.run(move |engine| engine.plan_save(&names, platform.as_ref())).await?;
    let engine = call.engine;
    stream::written(TAR, move |out| engine.save_images(&items, out)).await
}

pub(super) async fn load(call: Call) -> Answer {
    let (engine, platform) = (call.engine.clone(), call.platform()?);
    // Docker shows progress only where it was not told to be quiet.
    let quiet = call.query.is_set_or("quiet", true);
    let mut archive = call.into_reader();
    stream::written(JSON, move |out| {
        let mut told = Ok(());
        let loaded = engine.load_images(&mut archive, platform.as_ref(), &mut |progress| {
            if let (LoadProgress::Layer { id, current, total }, false) = (progress, quiet) {
                told = line(out, &layer_line(&id, current, total));
            }
        });
        told?;
        match loaded {
            Ok(loaded) => {
                loaded.iter().flat_map(names).try_for_each(|text| line(out, &json!({"stream": text})))
            }
            // As Docker does, also when nothing was told before: clients look for it in the stream.
            Err(error) => line(out, &problem::line(&error)),
        }
    })
    .await
}

pub(super) fn line(out: &mut AnswerWriter, value: &Value) -> Result<()> {
    let gone = |error| Error::internal("the client is gone").because(error);
    write!(out, "{value}\r\n").and_then(|()| out.flush()).map_err(gone)
}

fn layer_line(id: &str, current: u64, total: Option<u64>) -> Value {
    json!({
        "status": "Loading layer",
        "progressDetail": {"current": current, "total": total.unwrap_or_default()},
        "id": id,
    })
}

fn names(image: &Loaded) -> Vec<String> {
    if image.references.is_empty() {
        return vec![format!("Loaded image ID: {}\n", image.id)];
    }
    image.references.iter().map(|reference| format!("Loaded image: {}\n", reference.familiar())).collect()
}

/// `POST /images/create`: import; a pull has no engine behind it yet.
pub(super) async fn import(call: Call) -> Answer {
    let query = &call.query;
    if let Some(name) = query.given("fromImage") {
        return Err(Error::not_implemented(format!("pulling {name}: registries are not supported yet")));
    }
    let source = query.text("fromSrc").to_owned();
    let request = Import {
        reference: named(query.text("repo"), query.text("tag"))?,
        message: query.given("message").map_or_else(|| format!("Imported from {source}"), str::to_owned),
        changes: query.all("changes").flat_map(|lines| lines.split('\n')).map(str::to_owned).collect(),
        platform: call.platform()?,
    };
    let engine = call.engine.clone();
    if source != "-" {
        return import_url(engine, request, source, call.end).await;
    }
    let mut tar = call.into_reader();
    stream::written(JSON, move |out| {
        let id = engine.import_image(request, &mut tar)?;
        line(out, &json!({"status": id}))
    })
    .await
}

/// The same of what the engine fetches itself. What fails before the server has answered is answered with its status.
async fn import_url(engine: Arc<Engine>, request: Import, source: String, end: End) -> Answer {
    stream::written(JSON, move |out| {
        let head = out.head();
        let gone = move || head.is_forsaken() || end.has_come();
        let fetched = engine.fetch(&source, Arc::new(gone))?;
        line(out, &json!({"status": format!("Downloading from {}", fetched.url)}))?;
        let imported = engine.import_image(request, &mut Importing::new(fetched, out));
        line(out, &imported.map_or_else(|error| problem::line(&error), |id| json!({"status": id})))
    })
    .await
}
