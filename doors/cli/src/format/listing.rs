//! A listing: one row an object, as a table, as JSON lines, or by a template.

use gotmpl::Value;
use serde_json::{Map, Value as Json};

use super::go::functions::LABEL_WITHOUT_KEY;
use super::go::values;
use super::tabwriter::LISTING;
use super::template::{Fields, Template};
use crate::error::{Error, Result};
use crate::flags::Parsed;

/// One object in a listing.
pub(crate) trait Row {
    /// The Go type that docker names when a field does not exist.
    const TYPE: &'static str;
    /// The fields in alphabetic order, each with its heading.
    const FIELDS: &'static [(&'static str, &'static str)];

    /// Docker tries the template before it asks for objects, and has other words for what is wrong with it.
    const TRIED_FIRST: bool = false;

    /// A field; `None` only for a name that is not in [`Row::FIELDS`].
    fn field(&self, name: &str) -> Option<Json>;

    /// The labels, where `.Label "key"` may be asked for.
    fn labels(&self) -> Option<Json> {
        None
    }
}

/// How a listing is to be shown.
pub(crate) struct Listing {
    given: String,
    source: String,
    is_table: bool,
}

/// The usual ways to show a list, of which [`Listing::asked`] takes one.
pub(crate) struct Forms {
    pub(crate) table: &'static str,
    pub(crate) raw: &'static str,
    pub(crate) quiet: &'static str,
    pub(crate) raw_quiet: &'static str,
}

impl Listing {
    /// What `--format` and `--quiet` ask for; where they say nothing, what the user has configured.
    pub(crate) fn asked(parsed: &Parsed, configured: &str, forms: &Forms) -> Listing {
        let quiet = parsed.is_on("quiet");
        let otherwise = if quiet { "" } else { configured };
        Listing::new(match parsed.text("format").unwrap_or(otherwise) {
            "" | "table" if quiet => forms.quiet,
            "" | "table" => forms.table,
            "raw" if quiet => forms.raw_quiet,
            "raw" => forms.raw,
            custom => custom,
        })
    }

    /// Reads `--format`: `table …`, `json`, or a template.
    pub(crate) fn new(format: &str) -> Listing {
        let (is_table, source) = match format {
            "json" => (false, "{{json .}}"),
            _ => match format.strip_prefix("table") {
                Some(rest) => (true, rest),
                None => (false, format),
            },
        };
        let source = source.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        Listing { given: format.to_owned(), source, is_table }
    }

    /// Whether rows have to answer for this field: by its name, or because all of a row is wanted.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.source.contains(&format!(".{field}")) || self.source.replace(' ', "").contains("json.}}")
    }

    /// The template as it was given, whose escapes mean nothing yet.
    fn try_with(&self, headings: &impl Fields, nothing: &Value) -> Result<()> {
        let given = Template::parse(&self.given);
        let given = given.map_err(|why| Error::said(format!("failed to parse template: {why}")))?;
        let tried = given.try_with(headings, nothing);
        tried.map_err(|why| Error::said(format!("failed to execute template: {why}")))
    }

    /// The whole text of a listing.
    pub(crate) fn show<R: Row>(&self, rows: impl IntoIterator<Item = R>) -> Result<String> {
        let failed = |why| Error::said(format!("template parsing error: {why}"));
        if R::TRIED_FIRST {
            self.try_with(&Headings::<R>::new(), &Headings::<R>::nothing())?;
        }
        let template = Template::parse(&self.source).map_err(failed)?;
        let mut text = String::new();
        for row in rows {
            text.push_str(&template.render(&Answers(&row)).map_err(failed)?);
            text.push('\n');
        }
        if !self.is_table {
            return Ok(text);
        }
        let header = template.render_header(&Headings::<R>::new());
        Ok(LISTING.align(&format!("{header}\n{text}")))
    }
}

/// What is said of a field that a row does not have.
fn unknown<R: Row>(name: &str) -> String {
    let has_labels = R::FIELDS.iter().any(|(field, _)| *field == "Labels");
    match name {
        "Label" if has_labels => LABEL_WITHOUT_KEY.to_owned(),
        _ => format!("can't evaluate field {name} in type {}", R::TYPE),
    }
}

struct Answers<'a, R>(&'a R);

impl<R: Row> Fields for Answers<'_, R> {
    fn lookup(&self, path: &[String]) -> Result<Json, String> {
        let Some(name) = path.first() else {
            return Ok(self.plain_document());
        };
        let unknown = || unknown::<R>(name);
        let value = self.0.field(name).ok_or_else(unknown)?;
        path[1..].iter().try_fold(value, |value, name| {
            value.get(name).cloned().ok_or_else(|| format!("can't evaluate field {name} in type string"))
        })
    }

    /// Go escapes what could end a script element, but only in what a row writes of itself.
    fn as_json(&self, value: &Json, whole: bool) -> String {
        let text = value.to_string();
        match whole {
            true => text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
            false => text,
        }
    }

    fn row(&self) -> Value {
        let json = self.as_json(&self.plain_document(), true);
        values::row(R::TYPE, &self.document(), json)
    }

    fn document(&self) -> Json {
        let mut document = self.plain_document();
        if let (Some(fields), Some(labels)) = (document.as_object_mut(), self.0.labels()) {
            fields.insert(values::LABELS.to_owned(), labels);
        }
        document
    }
}

impl<R: Row> Answers<'_, R> {
    fn plain_document(&self) -> Json {
        let fields =
            R::FIELDS.iter().map(|(name, _)| ((*name).to_owned(), self.0.field(name).unwrap_or(Json::Null)));
        Json::Object(fields.collect())
    }
}

struct Headings<R>(std::marker::PhantomData<R>);

impl<R: Row> Headings<R> {
    fn new() -> Headings<R> {
        Headings(std::marker::PhantomData)
    }

    /// A row in which there is nothing.
    fn nothing() -> Value {
        let fields = R::FIELDS.iter().map(|(name, _)| ((*name).to_owned(), Json::from("")));
        values::row(R::TYPE, &Json::Object(fields.collect()), String::new())
    }
}

impl<R: Row> Fields for Headings<R> {
    fn lookup(&self, path: &[String]) -> Result<Json, String> {
        let Some(name) = path.first() else { return Ok(self.document()) };
        let heading = R::FIELDS.iter().find(|(field, _)| field == name).map(|(_, heading)| *heading);
        let unknown = || unknown::<R>(name);
        let heading = heading.map(Json::from).ok_or_else(unknown)?;
        match path.get(1) {
            Some(name) => Err(format!("can't evaluate field {name} in type string")),
            None => Ok(heading),
        }
    }

    fn document(&self) -> Json {
        let headings: Map<String, Json> =
            R::FIELDS.iter().map(|(name, heading)| ((*name).to_owned(), Json::from(*heading))).collect();
        Json::Object(headings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ship(&'static str, i64);

    impl Row for Ship {
        const TYPE: &'static str = "*formatter.ShipContext";
        const FIELDS: &'static [(&'static str, &'static str)] = &[("Crew", "CREW"), ("Name", "NAME")];
        fn field(&self, name: &str) -> Option<Json> {
            match name {
                "Name" => Some(self.0.into()),
                "Crew" => Some(self.1.into()),
                _ => None,
            }
        }
        fn labels(&self) -> Option<Json> {
            Some(serde_json::json!({"a.b-c": "d"}))
        }
    }

    fn show(format: &str) -> String {
        Listing::new(format).show([Ship("Sindbad", 7), Ship("Zheng He", 27_000)]).unwrap()
    }

    #[test]
    fn tables_templates_and_json_lines() {
        assert_eq!(show("table {{.Name}}\\t{{.Crew}}"), "NAME       CREW\nSindbad    7\nZheng He   27000\n");
        assert_eq!(show("{{ .Crew }}"), "7\n27000\n");
        assert_eq!(
            show("json"),
            "{\"Crew\":7,\"Name\":\"Sindbad\"}\n{\"Crew\":27000,\"Name\":\"Zheng He\"}\n"
        );
    }

    #[test]
    fn docker_s_functions_work() {
        assert_eq!(show("{{upper .Name}}").lines().next(), Some("SINDBAD"));
        assert_eq!(show("{{truncate .Name 3}}|{{pad .Name 1 2}}|").lines().next(), Some("Sin| Sindbad  |"));
        assert_eq!(show("{{join (split .Name \"d\") \"-\"}}").lines().next(), Some("Sin-ba-"));
        assert_eq!(show("{{if gt .Crew 100}}big{{else}}small{{end}}"), "small\nbig\n");
        assert_eq!(show("{{.Label \"a.b-c\"}}"), "d\nd\n");
        assert_eq!(
            show("table {{title .Name}}\t{{.Label \"a.b-c\"}}").lines().next(),
            Some("NAME       b c")
        );
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        let words = |format: &str| Listing::new(format).show([Ship("a", 1)]).unwrap_err().to_string();
        assert_eq!(
            words("{{.Foo}}"),
            "template parsing error: template: :1:2: executing \"\" at <.Foo>: \
             can't evaluate field Foo in type *formatter.ShipContext"
        );
        assert_eq!(words("{{.Foo"), "template parsing error: template: :1: unclosed action");
        assert_eq!(
            words("{{foo .Name}}"),
            "template parsing error: template: :1: function \"foo\" not defined"
        );
    }
}
