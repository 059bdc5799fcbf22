//! A value as Go's decoder would put it into a type.

use std::any::type_name;

use serde::de::value::{Error, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};

use super::Place;
use super::go_type::go_type;

/// Where one is in a body.
#[derive(Clone, Copy)]
pub(super) enum Spot<'a> {
    /// At its beginning.
    Body(Place),
    /// In a member of a structure. What is in a list or a map is where that is.
    Member { parent: &'a Spot<'a>, structure: &'a str, name: &'a str },
}

impl Spot<'_> {
    fn path(&self) -> Vec<&str> {
        match self {
            Self::Body(place) => place.path.to_vec(),
            Self::Member { parent, name, .. } => {
                let mut path = parent.path();
                path.push(name);
                path
            }
        }
    }

    /// What holds a member, as it is called in Go.
    fn structure<'a>(&'a self, own: &'a str) -> &'a str {
        match self {
            Self::Body(place) => place.name(),
            Self::Member { .. } => own,
        }
    }

    fn wrong(&self, what: &str, wanted: &str) -> Error {
        let holder = match self {
            Self::Body(place) if place.path.is_empty() => {
                let name = place.structure;
                return Error::custom(format!("json: cannot unmarshal {what} into Go value of type {name}"));
            }
            // What is in the body of a request: structures are called like the members that they are.
            Self::Body(place) => place.path.iter().rev().nth(1).unwrap_or(&"CreateRequest"),
            Self::Member { structure, .. } => structure,
        };
        let path = self.path().join(".");
        Error::custom(format!(
            "json: cannot unmarshal {what} into Go struct field {holder}.{path} of type {wanted}"
        ))
    }
}

/// A value on its way.
pub(super) struct Reader<'a> {
    value: Value,
    spot: &'a Spot<'a>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(value: Value, spot: &'a Spot<'a>) -> Self {
        Self { value, spot }
    }

    fn mismatch<T>(&self, wanted: &str) -> Result<T, Error> {
        let what = match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        Err(self.spot.wrong(what, wanted))
    }

    /// A number that is none of its type is told with what it is.
    fn integer<N: TryFrom<i128>>(&self, wanted: &str) -> Result<Option<N>, Error> {
        let Value::Number(number) = &self.value else {
            return if self.value.is_null() { Ok(None) } else { self.mismatch(wanted) };
        };
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        let fits = whole.and_then(|whole| N::try_from(whole).ok());
        fits.map(Some).ok_or_else(|| self.spot.wrong(&format!("number {}", written(number)), wanted))
    }
}

fn written(number: &Number) -> String {
    number.to_string()
}

macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ident $go:literal)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.integer::<$type>($go)?.unwrap_or_default())
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    integers! {
        deserialize_i8 visit_i8 i8 "int8"
        deserialize_i16 visit_i16 i16 "int16"
        deserialize_i32 visit_i32 i32 "int32"
        deserialize_i64 visit_i64 i64 "int64"
        deserialize_u8 visit_u8 u8 "uint8"
        deserialize_u16 visit_u16 u16 "uint16"
        deserialize_u32 visit_u32 u32 "uint32"
        deserialize_u64 visit_u64 u64 "uint64"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), spot: self.spot }),
            Value::Object(members) => visitor.visit_map(Members::map(members, self.spot)),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(whole), _) => visitor.visit_u64(whole),
                (None, Some(whole)) => visitor.visit_i64(whole),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Null => visitor.visit_bool(false),
            _ => self.mismatch("bool"),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Number(number) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            Value::Null => visitor.visit_f64(0.0),
            _ => self.mismatch("float64"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_string(text),
            Value::Null => visitor.visit_string(String::new()),
            _ => self.mismatch("string"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), spot: self.spot }),
            Value::Null => visitor.visit_seq(Items { items: Vec::new().into_iter(), spot: self.spot }),
            _ => self.mismatch(&go_type(type_name::<V::Value>())),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(members) => visitor.visit_map(Members::map(members, self.spot)),
            Value::Null => visitor.visit_map(Members::map(Map::new(), self.spot)),
            _ => self.mismatch(&go_type(type_name::<V::Value>())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(members) => visitor.visit_map(Members::structure(members, self.spot, name, fields)),
            Value::Null => visitor.visit_map(Members::structure(Map::new(), self.spot, name, fields)),
            _ => self.mismatch(&go_type(type_name::<V::Value>())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = match self.value {
            Value::String(text) => text,
            Value::Null => String::new(),
            _ => return self.mismatch("string"),
        };
        let text: StringDeserializer<Error> = text.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple_struct ignored_any
    }
}

struct Items<'a> {
    items: std::vec::IntoIter<Value>,
    spot: &'a Spot<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.items.next().map(|item| seed.deserialize(Reader::new(item, self.spot))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// Members of a structure, or entries of a map.
struct Members<'a> {
    members: serde_json::map::IntoIter,
    spot: &'a Spot<'a>,
    /// Its name and its fields.
    structure: Option<(&'static str, &'static [&'static str])>,
    current: Option<(String, Value)>,
}

impl<'a> Members<'a> {
    fn map(members: Map<String, Value>, spot: &'a Spot<'a>) -> Self {
        Self { members: members.into_iter(), spot, structure: None, current: None }
    }

    fn structure(
        members: Map<String, Value>,
        spot: &'a Spot<'a>,
        name: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        let mut spelt = Map::new();
        // What is null says nothing, and the last of two that mean the same counts.
        for (key, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            let field = fields.iter().find(|field| field.eq_ignore_ascii_case(&key));
            spelt.insert(field.map_or(key, |field| (*field).to_owned()), value);
        }
        Self { members: spelt.into_iter(), spot, structure: Some((name, fields)), current: None }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.current = self.members.next();
        let Some((key, _)) = &self.current else { return Ok(None) };
        let key: StringDeserializer<Error> = key.clone().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (key, value) = self.current.take().unwrap_or_default();
        let Some((own, _)) = self.structure else { return seed.deserialize(Reader::new(value, self.spot)) };
        let member = Spot::Member { parent: self.spot, structure: self.spot.structure(own), name: &key };
        seed.deserialize(Reader::new(value, &member))
    }
}
