//! What Go calls a type of ours. Ours have the names of Docker's, in modules that are called like its packages.

/// Those that types of bodies are of.
const PACKAGES: [&str; 4] = ["container", "network", "mount", "volume"];

/// The name in Go of what the compiler calls `rust`.
pub(super) fn go_type(rust: &str) -> String {
    let rust = rust.trim();
    let (name, arguments) = match rust.split_once('<') {
        Some((name, rest)) => (name, rest.strip_suffix('>').unwrap_or(rest)),
        None => (rust, ""),
    };
    let mut modules = name.split("::");
    let last = modules.clone().last().unwrap_or(name);
    match last {
        "String" | "str" => "string".into(),
        "Vec" | "BTreeSet" => format!("[]{}", go_type(arguments)),
        "BTreeMap" | "HashMap" | "Map" => format!("map[string]{}", go_type(value_of(arguments))),
        "Option" | "Box" | "Arc" => go_type(arguments),
        "Value" | "" => "interface {}".into(),
        "Empty" | "()" => "struct {}".into(),
        "i64" | "i32" | "i16" | "i8" => format!("int{}", &last[1..]),
        "u64" | "u32" | "u16" | "u8" => format!("uint{}", &last[1..]),
        "f64" | "f32" => format!("float{}", &last[1..]),
        "bool" => "bool".into(),
        last => {
            let package = modules.find(|module| PACKAGES.contains(module)).unwrap_or("container");
            format!("{package}.{last}")
        }
    }
}

/// The second of two arguments.
fn value_of(arguments: &str) -> &str {
    let mut depth = 0;
    let comma = arguments.char_indices().find(|(_, sign)| {
        match sign {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        *sign == ',' && depth == 0
    });
    comma.map_or(arguments, |(at, _)| &arguments[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_as_in_go() {
        for (rust, go) in [
            (std::any::type_name::<i64>(), "int64"),
            (std::any::type_name::<Option<Vec<String>>>(), "[]string"),
            (
                std::any::type_name::<std::collections::BTreeMap<String, Option<Vec<u16>>>>(),
                "map[string][]uint16",
            ),
            (std::any::type_name::<dhow_model::container::LogConfig>(), "container.LogConfig"),
            (std::any::type_name::<dhow_model::network::EndpointSettings>(), "network.EndpointSettings"),
            (std::any::type_name::<serde_json::Map<String, serde_json::Value>>(), "map[string]interface {}"),
        ] {
            assert_eq!(go_type(rust), go, "{rust}");
        }
    }
}
