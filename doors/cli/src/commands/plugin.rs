//! `dhow plugin …`: an engine of ours has none; the commands ask it all the same, for it may be another's.

use dhow_api::client::{Client, Request};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::each::one_by_one;
use super::{Arity, Command, inspect};
use crate::error::{Error, Result};
use crate::flags::filter::Filters;
use crate::flags::{FILTER, Flag, INT, Parsed, STRING, SWITCH, flag};
use crate::format::{Forms, Listing, Row, names};
use crate::session::Session;

const LIST: Command = Command {
    paths: &["plugin ls", "plugin list"],
    usage: "[OPTIONS]",
    about: "List plugins",
    arity: Arity::None,
    arguments_end_flags: false,
    flags: &[&[
        flag("filter", FILTER, "Show only what meets the condition").short('f'),
        flag("format", STRING, super::FORMAT_HELP),
        flag("no-trunc", SWITCH, "Show ids in full"),
        flag("quiet", SWITCH, "Show ids only").short('q'),
    ]],
    run: list,
};

const REMOVE: Command = Command {
    paths: &["plugin rm", "plugin remove"],
    usage: "[OPTIONS] PLUGIN [PLUGIN...]",
    about: "Remove plugins",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Remove also what is enabled").short('f')]],
    run: |session, parsed| {
        let force = parsed.is_on("force");
        one_by_one(session, &parsed.arguments, |client, name| {
            sent(client, Request::delete(&["plugins", name]).query_flag("force", force))
        })
    },
};

const ENABLE: Command = Command {
    paths: &["plugin enable"],
    usage: "[OPTIONS] PLUGIN",
    about: "Enable a plugin",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[flag("timeout", INT, "Wait so many seconds for it (default 30)")]],
    run: |session, parsed| {
        let timeout = parsed.text("timeout").unwrap_or("30").to_owned();
        if parsed.integer("timeout").is_some_and(|seconds| seconds < 0) {
            return Err(Error::said(format!("negative timeout {timeout} is invalid")));
        }
        one_by_one(session, &parsed.arguments, |client, name| {
            sent(client, Request::post(&["plugins", name, "enable"]).query("timeout", &timeout))
        })
    },
};

const DISABLE: Command = Command {
    paths: &["plugin disable"],
    usage: "[OPTIONS] PLUGIN",
    about: "Disable a plugin",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Disable also what is in use").short('f')]],
    run: |session, parsed| {
        let force = parsed.is_on("force");
        one_by_one(session, &parsed.arguments, |client, name| {
            sent(client, Request::post(&["plugins", name, "disable"]).query_flag("force", force))
        })
    },
};

const SET: Command = Command {
    paths: &["plugin set"],
    usage: "PLUGIN KEY=VALUE [KEY=VALUE...]",
    about: "Change settings of a plugin",
    arity: Arity::AtLeast(2),
    arguments_end_flags: false,
    flags: &[],
    run: |session, parsed| {
        let request = Request::post(&["plugins", parsed.argument(0), "set"]);
        sent(session.client()?, request.json(&parsed.arguments[1..])?)
    },
};

const UPGRADE: Command = Command {
    paths: &["plugin upgrade"],
    usage: "[OPTIONS] PLUGIN [REMOTE]",
    about: "Upgrade a plugin",
    arity: Arity::Between(1, 2),
    arguments_end_flags: false,
    flags: &[&[UNVERIFIED, GRANT, flag("skip-remote-check", SWITCH, "Do not compare it with what is there")]],
    run: |session, parsed| {
        let known = session.send(Request::get(&["plugins", parsed.argument(0), "json"]));
        known.map_err(|why| Error::said(format!("error reading plugin data: {why}")))?;
        Err(unserved("upgrade"))
    },
};

const PUSH: Command = Command {
    paths: &["plugin push"],
    usage: "[OPTIONS] PLUGIN[:TAG]",
    about: "Push a plugin to a registry",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[UNVERIFIED]],
    run: |session, parsed| {
        let name = names::with_default_tag(parsed.argument(0));
        sent(session.client()?, Request::post(&["plugins", &name, "push"]))?;
        Err(unserved("push"))
    },
};

const INSTALL: Command = Command {
    paths: &["plugin install"],
    usage: "[OPTIONS] PLUGIN [KEY=VALUE...]",
    about: "Install a plugin",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[
        UNVERIFIED,
        GRANT,
        flag("alias", STRING, "Its name here"),
        flag("disable", SWITCH, "Do not enable it"),
    ]],
    run: |session, parsed| {
        let remote = names::with_default_tag(parsed.argument(0));
        sent(session.client()?, Request::get(&["plugins", "privileges"]).query("remote", &remote))?;
        Err(unserved("install"))
    },
};

const CREATE: Command = Command {
    paths: &["plugin create"],
    usage: "[OPTIONS] PLUGIN PLUGIN-DATA-DIR",
    about: "Create a plugin from a folder",
    arity: Arity::AtLeast(2),
    arguments_end_flags: false,
    flags: &[&[flag("compress", SWITCH, "Compress what is sent")]],
    run: |session, parsed| {
        let folder = std::path::absolute(parsed.argument(1).trim_end_matches('/'));
        let folder = folder.map_err(|why| Error::said(crate::go_words(&why)))?;
        std::fs::symlink_metadata(&folder)
            .map_err(|why| Error::said(format!("lstat {}: {}", folder.display(), crate::go_words(&why))))?;
        super::open(&folder.join("config.json").to_string_lossy())?;
        let request = Request::post(&["plugins", "create"]).query("name", parsed.argument(0));
        sent(session.client()?, request.json(&json!({}))?)?;
        Err(unserved("create"))
    },
};

const UNVERIFIED: Flag = flag("disable-content-trust", SWITCH, "Means nothing: no signatures are looked at");
const GRANT: Flag = flag("grant-all-permissions", SWITCH, "Grant all that it asks for");

/// Each of them.
pub(super) const COMMANDS: &[&Command] =
    &[&CREATE, &DISABLE, &ENABLE, &inspect::PLUGIN, &INSTALL, &LIST, &PUSH, &REMOVE, &SET, &UPGRADE];

fn sent(client: &Client, request: Request<'_>) -> Result<()> {
    client.send(request)?;
    Ok(())
}

fn unserved(verb: &str) -> Error {
    Error::said(format!("dhow plugin {verb}: not served yet"))
}

/// A plugin as the engine lists it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Plugin {
    id: String,
    name: String,
    enabled: bool,
    plugin_reference: String,
    config: Config,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    description: String,
}

fn list(session: &Session, parsed: &Parsed) -> Result<()> {
    let forms = Forms {
        table: "table {{.ID}}\\t{{.Name}}\\t{{.Description}}\\t{{.Enabled}}",
        raw: "plugin_id: {{.ID}}\\nname: {{.Name}}\\ndescription: {{.Description}}\\nenabled: {{.Enabled}}\\n",
        quiet: "{{.ID}}",
        raw_quiet: "plugin_id: {{.ID}}",
    };
    let listing = Listing::asked(parsed, &session.settings().plugins_format, &forms);
    let request = Request::get(&["plugins"]).query_some("filters", Filters::of(parsed).to_query().as_deref());
    let mut plugins: Vec<Plugin> = session.send(request)?.json()?;
    plugins.sort_by(|a, b| names::natural(&a.name).cmp(&names::natural(&b.name)));
    let cut = !parsed.is_on("no-trunc");
    session.print(&listing.show(plugins.into_iter().map(|plugin| PluginRow { plugin, cut }))?)
}

struct PluginRow {
    plugin: Plugin,
    cut: bool,
}

impl Row for PluginRow {
    const TYPE: &'static str = "*plugin.pluginContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Description", "DESCRIPTION"),
        ("Enabled", "ENABLED"),
        ("ID", "ID"),
        ("Name", "NAME"),
        ("PluginReference", "IMAGE"),
    ];

    fn field(&self, name: &str) -> Option<Json> {
        let plugin = &self.plugin;
        Some(match name {
            "ID" if self.cut => names::short_id(&plugin.id).into(),
            "ID" => plugin.id.as_str().into(),
            "Name" => plugin.name.as_str().into(),
            "Description" => {
                let line = plugin.config.description.replace(['\n', '\r'], " ");
                let end = line.char_indices().nth(45).filter(|_| self.cut).map(|(end, _)| end);
                end.map_or_else(|| line.clone(), |end| format!("{}…", &line[..end])).trim().into()
            }
            "Enabled" => plugin.enabled.into(),
            "PluginReference" => plugin.plugin_reference.as_str().into(),
            _ => return None,
        })
    }
}
