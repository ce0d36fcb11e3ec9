use crate::text::Scanner;

/// The model's config for the plugin, a JSON value, and getters for an object's
/// members at its top level. A getter returns `None` where there is no member of
/// that name and type.
#[derive(Clone, Debug)]
pub struct Config {
    text: String,
}

impl Config {
    /// From JSON text; the tests of a plugin make one.
    pub fn new(text: impl Into<String>) -> Config {
        Config { text: text.into() }
    }

    /// The JSON text, `null` if the model has no config.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON text of a member, for what the others do not read.
    pub fn raw(&self, name: &str) -> Option<&str> {
        member(&self.text, name)
    }

    pub fn string(&self, name: &str) -> Option<String> {
        unquote(self.raw(name)?)
    }

    pub fn double(&self, name: &str) -> Option<f64> {
        self.number(name)?.parse().ok()
    }

    pub fn long(&self, name: &str) -> Option<i64> {
        self.number(name)?.parse().ok()
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.raw(name)?.parse().ok()
    }

    /// A member that is a JSON number: Rust reads more than those.
    fn number(&self, name: &str) -> Option<&str> {
        let raw = self.raw(name)?;
        let first = raw.strip_prefix('-').unwrap_or(raw).as_bytes().first()?;
        first.is_ascii_digit().then_some(raw)
    }
}

/// The value of a member of a JSON object. Keys with escapes are not found.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut s = Scanner::new(object);
    if !s.take(b'{') {
        return None;
    }
    while !s.take(b'}') {
        s.take(b',');
        let key = s.value();
        if key.len() < 2 || !s.take(b':') {
            return None;
        }
        let value = s.value();
        if value.is_empty() {
            return None;
        }
        if &key[1..key.len() - 1] == name {
            return Some(value);
        }
    }
    None
}

/// The text of a JSON string.
fn unquote(raw: &str) -> Option<String> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let rest = chars.as_str();
                let (rune, used) = escaped(rest);
                out.push(rune);
                chars = rest[used..].chars();
            }
            other => out.push(other),
        }
    }
    Some(out)
}

/// The character of the digits behind `\u`, with the second half of a pair, and
/// how many bytes they take.
fn escaped(text: &str) -> (char, usize) {
    let hex = |at: usize| u32::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let high = match hex(0) {
        Some(high) => high,
        None => return (char::REPLACEMENT_CHARACTER, 0),
    };
    if (0xd800..0xdc00).contains(&high) && text.get(4..6) == Some("\\u") {
        if let Some(low @ 0xdc00..=0xdfff) = hex(6) {
            let rune = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return (char::from_u32(rune).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
        }
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_at_the_top() {
        let c = Config::new(
            r#" { "a" : {"b":[1,"}"]} , "b":-2.5e1,"c":"x\"\u00e9\ud834\udd1e\ud834.\n","d":true,"e":12,"f":null } "#,
        );
        assert_eq!(c.raw("a"), Some(r#"{"b":[1,"}"]}"#));
        assert_eq!(c.double("b"), Some(-25.0));
        assert_eq!(c.long("b"), None);
        assert_eq!(c.string("c").as_deref(), Some("x\"é𝄞\u{fffd}.\n"));
        assert_eq!((c.boolean("d"), c.boolean("c")), (Some(true), None));
        assert_eq!((c.long("e"), c.double("e")), (Some(12), Some(12.0)));
        assert_eq!((c.string("f"), c.double("f"), c.string("g")), (None, None, None));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["null", "", "{", "{\"a\"", "{\"a\":", "[1]", "{,}"] {
            assert_eq!(Config::new(text).raw("a"), None, "{}", text);
        }
    }
}
