//! XML 1.0, written so that any name a torrent may have leaves it well-formed.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::problem::Problem;

/// A document that is being written.
pub(crate) type Xml = Writer<Vec<u8>>;

/// A whole document.
pub(crate) fn document(write: impl FnOnce(&mut Xml) -> io::Result<()>) -> Result<Vec<u8>, Problem> {
    let mut xml = Writer::new(Vec::new());
    let declaration = Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None));
    let written = xml
        .write_event(declaration)
        .and_then(|()| write(&mut xml))
        .map_err(|error| {
            tracing::error!(%error, "XML can't be written");
            Problem::INTERNAL
        });
    written.map(|()| xml.into_inner())
}

/// `<name attribute="…"/>`
pub(crate) fn empty(xml: &mut Xml, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(name, value)| (*name, clean(value)))
        .collect();
    let pairs = attributes
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    xml.create_element(name)
        .with_attributes(pairs)
        .write_empty()?;
    Ok(())
}

/// `<name>text</name>`
pub(crate) fn text(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name)
        .write_text_content(BytesText::new(&clean(text)))?;
    Ok(())
}

/// Without what XML 1.0 has no way to write, escaped or not.
fn clean(text: &str) -> String {
    let is_allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(is_allowed).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_element_or_attribute() {
        let hostile = "</a> <b c=\"d\" e='f'> & &amp; ]]> \0\u{1}\u{1b}\u{fffe}\u{ffff} 🦊 שלום";
        let written = document(|xml| {
            xml.create_element("all").write_inner_content(|xml| {
                text(xml, "a", hostile)?;
                empty(xml, "b", &[("c", hostile)])
            })?;
            Ok(())
        });
        let escaped =
            "&lt;/a&gt; &lt;b c=&quot;d&quot; e=&apos;f&apos;&gt; &amp; &amp;amp; ]]&gt;  🦊 שלום";
        assert_eq!(
            String::from_utf8(written.unwrap()).unwrap(),
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><all><a>{escaped}</a><b c=\"{escaped}\"/></all>"
            )
        );
    }
}
