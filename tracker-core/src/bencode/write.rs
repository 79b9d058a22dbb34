//! The writer: five functions that append. The caller keeps dictionary keys sorted, as BEP 3 wants them.

/// A string: `4:spam`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(itoa::Buffer::new().format(bytes.len()).as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// An integer of any width: `i-7e`.
pub fn put_int(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.push(b'i');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'e');
}

/// Opens a list; [`end`] closes it.
pub fn begin_list(out: &mut Vec<u8>) {
    out.push(b'l');
}

/// Opens a dictionary; [`end`] closes it.
pub fn begin_dict(out: &mut Vec<u8>) {
    out.push(b'd');
}

/// Closes the innermost list or dictionary.
pub fn end(out: &mut Vec<u8>) {
    out.push(b'e');
}
