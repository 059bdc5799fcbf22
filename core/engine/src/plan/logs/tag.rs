//! The tag of a log: a template over its container.

use std::collections::BTreeMap;
use std::sync::Arc;

use dhow_model::{Error, Result};
use gotmpl::{FuncMap, MissingKey, TemplateError, Value};

use super::Source;

/// A template where none was given.
const DEFAULT: &str = "{{.ID}}";

/// The longest template that is read.
const LONGEST: usize = 16 * 1024;

/// The tag, by the template of the options.
///
/// # Errors
/// See [`render`].
pub fn of(options: &BTreeMap<String, String>, source: &Source) -> Result<String> {
    let template = options.get("tag").filter(|template| !template.is_empty());
    render(template.map_or(DEFAULT, String::as_str), options, source)
}

/// Renders a template of the tag.
///
/// # Errors
/// Invalid argument when it is none, or names what a container has not.
pub fn render(template: &str, options: &BTreeMap<String, String>, source: &Source) -> Result<String> {
    if template.len() > LONGEST {
        return Err(Error::invalid("template: log-tag: it is too long"));
    }
    if !template.contains("{{") {
        return Ok(template.to_owned());
    }
    if template == DEFAULT {
        return Ok(short(&source.id).to_owned());
    }
    gotmpl::Template::new("log-tag")
        .missing_key(MissingKey::Error)
        .funcs(functions())
        .parse(template)
        .and_then(|parsed| parsed.execute_to_string(&fields(options, source)))
        .map_err(|error| Error::invalid(words(&error)))
}

/// The first twelve digits of an id.
#[must_use]
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn words(error: &TemplateError) -> String {
    match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            format!("template: log-tag:{line}: {message}")
        }
        TemplateError::UndefinedFunction(name) => {
            format!("template: log-tag:1: function {name:?} not defined")
        }
        TemplateError::MissingKey { key } => format!(
            "template: log-tag:1: executing \"log-tag\" at <.{key}>: \
             can't evaluate field {key} in type *logger.Info"
        ),
        other => format!("template: log-tag:1: executing \"log-tag\": {other}"),
    }
}

/// Docker's fields and methods of a container.
fn fields(options: &BTreeMap<String, String>, source: &Source) -> Value {
    let (program, arguments) = source.command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
    let map = |map: &BTreeMap<String, String>| {
        let pairs = map.iter().map(|(key, value)| (Arc::from(key.as_str()), text(value)));
        Value::Map(Arc::new(pairs.collect()))
    };
    let list = |list: &[String]| Value::List(list.iter().map(|item| text(item)).collect());
    let fields = [
        ("ID", text(short(&source.id))),
        ("FullID", text(&source.id)),
        ("Name", text(&source.name)),
        ("Command", text(&source.command.join(" "))),
        ("ImageID", text(short(&source.image_id))),
        ("ImageFullID", text(&source.image_id)),
        ("ImageName", text(&source.image_name)),
        ("Hostname", text(&source.hostname)),
        ("Config", map(options)),
        ("ContainerID", text(&source.id)),
        ("ContainerName", text(&format!("/{}", source.name))),
        ("ContainerEntrypoint", text(program)),
        ("ContainerArgs", list(arguments)),
        ("ContainerImageID", text(&source.image_id)),
        ("ContainerImageName", text(&source.image_name)),
        ("ContainerEnv", list(&source.env)),
        ("ContainerLabels", map(&source.labels)),
        ("DaemonName", text("docker")),
    ];
    let fields = fields.into_iter().map(|(name, value)| (Arc::from(name), value));
    Value::Map(Arc::new(fields.collect()))
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// Docker's functions of text.
fn functions() -> FuncMap {
    let functions: [(&str, Function); 5] = [
        ("lower", |values| Ok(text(&string(values, 0)?.to_lowercase()))),
        ("upper", |values| Ok(text(&string(values, 0)?.to_uppercase()))),
        ("split", |values| {
            let (words, separator) = (string(values, 0)?, string(values, 1)?);
            Ok(Value::List(words.split(&*separator).map(text).collect()))
        }),
        ("join", |values| {
            let Some(Value::List(items)) = values.first() else {
                return Err(TemplateError::Exec("join wants a list".into()));
            };
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            Ok(text(&items.join(&string(values, 1)?)))
        }),
        ("truncate", |values| {
            let words = string(values, 0)?;
            let most = values.get(1).and_then(Value::as_int).and_then(|most| usize::try_from(most).ok());
            let most = most.ok_or_else(|| TemplateError::Exec("truncate wants a number".into()))?;
            Ok(text(&words.chars().take(most).collect::<String>()))
        }),
    ];
    let shared = functions.into_iter().map(|(name, function)| {
        let shared: gotmpl::ValueFunc = Arc::new(move |values: &[Value]| function(values));
        (name.into(), shared)
    });
    shared.collect()
}

fn string(values: &[Value], index: usize) -> Result<String, TemplateError> {
    values
        .get(index)
        .map(ToString::to_string)
        .ok_or_else(|| TemplateError::Exec("wrong number of args".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_rendered_over_its_container() {
        let source = Source {
            id: "0123456789abcdef".repeat(4),
            name: "web".into(),
            command: vec!["sh".into(), "-c".into(), "x".into()],
            image_id: format!("sha256:{}", "f".repeat(64)),
            image_name: "busybox".into(),
            hostname: "box".into(),
            labels: BTreeMap::from([("tier".into(), "front".into())]),
            env: vec!["A=b".into()],
        };
        let full = "0123456789abcdef".repeat(4);
        for (template, expected) in [
            ("plain", "plain"),
            ("", "0123456789ab"),
            ("{{.FullID}}", &full),
            ("{{.ImageName}}/{{.Name}}/{{.ID}}", "busybox/web/0123456789ab"),
            ("{{.ImageID}} {{.Hostname}}", "ffffffffffff box"),
            ("{{.Command}}", "sh -c x"),
            ("{{index .ContainerLabels \"tier\"}}", "front"),
            ("{{.ContainerLabels.tier}}", "front"),
            ("{{upper .Name}}{{with .DaemonName}} {{.}}{{end}}", "WEB docker"),
            ("{{join (split .ContainerName \"/\") \"+\"}}", "+web"),
            ("{{truncate .ImageName 4}}", "busy"),
        ] {
            let options = BTreeMap::from([("tag".to_owned(), template.to_owned())]);
            assert_eq!(of(&options, &source).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_template_that_is_none_is_refused_in_dockers_words() {
        let render =
            |template| render(template, &BTreeMap::new(), &Source::default()).unwrap_err().to_string();
        let missing = render("{{.Foo}}");
        assert!(missing.contains("can't evaluate field Foo in type *logger.Info"), "{missing}");
        assert!(render("{{.Foo").starts_with("template: log-tag:1:"));
        assert!(render("{{nofunction .Name}}").contains("function \"nofunction\" not defined"));
    }
}
