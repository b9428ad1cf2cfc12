//! JSON text of any wire type: keys in the order of the type, nothing in a string that could steer a terminal.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::escape::is_shown;

/// A document over several lines, with a final newline.
#[must_use]
pub fn document(value: &impl Serialize) -> String {
    write(value, PrettyFormatter::with_indent(b"  "))
}

/// A document in one line, with its newline.
#[must_use]
pub fn line(value: &impl Serialize) -> String {
    write(value, CompactFormatter)
}

fn write<F: Formatter>(value: &impl Serialize, inner: F) -> String {
    let mut text = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut text, Shown { inner }))
        .expect("wire types have string keys and writing to memory cannot fail");
    text.push(b'\n');
    String::from_utf8(text).expect("serde_json writes UTF-8")
}

/// A formatter that writes what [`is_shown`] refuses as `\uXXXX`, which every JSON reader turns back.
struct Shown<F> {
    inner: F,
}

/// Hands the layout of arrays and objects to the inner formatter.
macro_rules! delegate {
    ($($method:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.inner.$method(writer $(, $argument)*)
        }
    )*};
}

impl<F: Formatter> Formatter for Shown<F> {
    delegate! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut previous = ' ';
        for character in fragment.chars() {
            // `##vso[` acts wherever it stands in a line of some build servers' logs
            let starts_command = character == '#' && previous == '#';
            previous = character;
            if is_shown(character) && !starts_command {
                writer.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}
