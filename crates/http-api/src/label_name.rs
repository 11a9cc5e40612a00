//! Label names in request paths: the `U__` escape for names that URLs and old clients cannot carry.

/// Undoes the `U__` escape: `__` is an underscore, `_hex_` a code point. Names without the prefix, and names whose
/// escape is not valid, are returned as they are.
pub(crate) fn unescape(name: &str) -> String {
    name.strip_prefix("U__").and_then(unescape_rest).unwrap_or_else(|| name.to_owned())
}

fn unescape_rest(escaped: &str) -> Option<String> {
    const HEX_DIGITS_MAX: usize = 6;
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find('_')?;
        if end == 0 {
            out.push('_');
        } else {
            let digits = &rest[..end];
            if end > HEX_DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            out.push(u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?);
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_broken_ones_left() {
        for (name, expected) in [
            ("job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U___1f600_", "😀"),
            ("U__service_2E_name", "service.name"),
            ("U__a_", "U__a_"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_1234567_", "U__a_1234567_"),
            ("U__", ""),
        ] {
            assert_eq!(unescape(name), expected, "{name}");
        }
    }
}
