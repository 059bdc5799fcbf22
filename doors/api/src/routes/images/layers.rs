//! `/dhow/images/…` and `/dhow/layers`: how layers lie on the disk, which Docker's API does not tell.

use dhow_model::image::StoredLayer;
use serde_json::{Value, json};

use crate::routes::{Handling, not_found};
use crate::server::answer::{self, Answer};
use crate::server::call::Call;

/// The handler of `/dhow/images/{rest}`.
pub(in crate::routes) fn route(call: Call, rest: &[&str]) -> Handling {
    match (call.method.as_str(), rest) {
        ("GET", [name @ .., "layers"]) if !name.is_empty() => Box::pin(layers(call, name.join("/"))),
        ("POST", [name @ .., "convert"]) if !name.is_empty() => Box::pin(convert(call, name.join("/"))),
        _ => not_found(),
    }
}

/// `GET /dhow/layers`: those of all images.
pub(in crate::routes) async fn all(call: Call) -> Answer {
    let (layers, usage) = call.run(|engine| Ok((engine.stored_layers()?, engine.layers_usage()?))).await?;
    Ok(answer::ok(&json!({
        "Layers": layers.iter().map(shown).collect::<Vec<_>>(),
        "SetAside": usage.set_aside,
        // What was compressed is not kept: decision 9.
        "CompressedBlobs": {"Count": 0, "Size": 0},
    })))
}

async fn layers(call: Call, name: String) -> Answer {
    let layers = call.run(move |engine| engine.image_layers(&name)).await?;
    Ok(answer::ok(&layers.iter().map(shown).collect::<Vec<_>>()))
}

async fn convert(call: Call, name: String) -> Answer {
    let format = call.query.text("layers").parse()?;
    let done = call.run(move |engine| engine.convert_image(&name, format)).await?;
    let layers: Vec<Value> = done.layers.iter().map(shown).collect();
    Ok(answer::ok(&json!({"Converted": done.converted, "Layers": layers})))
}

fn shown(layer: &StoredLayer) -> Value {
    json!({"DiffId": layer.diff_id, "Format": layer.format, "Size": layer.size})
}
