//! Forms as Go reads them: pairs in URLs and bodies, and multipart bodies (RFC 7578).

/// Most parts of a multipart form.
const PARTS_MAX: usize = 1000;

/// The pairs of `a=b&c=d`, decoded. A pair that is not well-formed is left out; the first such is the error.
pub(crate) fn pairs(text: &[u8]) -> (Vec<(String, String)>, Option<String>) {
    let (mut pairs, mut malformed) = (Vec::new(), None);
    for pair in text.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        match decoded_pair(pair) {
            Ok(pair) => pairs.push(pair),
            Err(reason) => malformed = malformed.or(Some(reason)),
        }
    }
    (pairs, malformed)
}

fn decoded_pair(pair: &[u8]) -> Result<(String, String), String> {
    if pair.contains(&b';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let split = pair.iter().position(|&b| b == b'=');
    let (name, value) = split.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
    Ok((decode(name)?, decode(value)?))
}

/// Undoes the encoding of forms. What is not UTF-8 becomes the replacement character.
fn decode(text: &[u8]) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = rest.first_chunk::<2>().and_then(|[a, b]| Some((hex(*a)?, hex(*b)?)));
                let Some((high, low)) = digits else {
                    let shown = String::from_utf8_lossy(&rest[..rest.len().min(2)]);
                    return Err(format!("invalid URL escape {:?}", format!("%{shown}")));
                };
                out.push(high << 4 | low);
                rest = &rest[2..];
            }
            _ => out.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Undoes the encoding of a path's segment, where a plus is a plus; what is not well-formed stays as it is.
pub(crate) fn decode_path(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<2>().and_then(|[a, b]| Some((hex(*a)?, hex(*b)?)));
        match digits {
            Some((high, low)) if byte == b'%' => {
                out.push(high << 4 | low);
                rest = &behind[2..];
            }
            _ => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// The boundary that the content type of a multipart form names.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (_, value) =
        content_type.split(';').skip(1).filter_map(|p| p.split_once('=')).find(|(n, _)| name_is(n, "boundary"))?;
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    (1..=70).contains(&value.len()).then_some(value)
}

fn name_is(name: &str, known: &str) -> bool {
    name.trim().eq_ignore_ascii_case(known)
}

/// The fields of a multipart form, files left out. `None` if it is not well-formed or has more than 1,000 parts.
pub(crate) fn multipart(body: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    // The first delimiter may stand at the very start, without a line before it.
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => &body[find(body, delimiter)? + delimiter.len()..],
    };
    let mut fields = Vec::new();
    for _ in 0..=PARTS_MAX {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        // A part without headers begins with the empty line.
        let (head, content) = if let Some(content) = rest.strip_prefix(b"\r\n") {
            (&b""[..], content)
        } else {
            let end = find(rest, b"\r\n\r\n")?;
            (&rest[..end], &rest[end + 4..])
        };
        let end = find(content, delimiter)?;
        if let Some(name) = field_name(&String::from_utf8_lossy(head)) {
            fields.push((name, String::from_utf8_lossy(&content[..end]).into_owned()));
        }
        rest = &content[end + delimiter.len()..];
    }
    None
}

/// The name in the head of a part that is a field and no file.
fn field_name(head: &str) -> Option<String> {
    let (_, disposition) =
        head.split("\r\n").filter_map(|l| l.split_once(':')).find(|(n, _)| name_is(n, "content-disposition"))?;
    let mut name = None;
    let mut rest = disposition.split_once(';').filter(|(kind, _)| name_is(kind, "form-data"))?.1;
    while let Some((parameter, behind)) = rest.split_once('=') {
        let (value, behind) = quoted_or_token(behind)?;
        match parameter.trim_matches(|c: char| c == ';' || c.is_whitespace()).to_ascii_lowercase().as_str() {
            "name" => name = Some(value),
            "filename" | "filename*" => return None,
            _ => {}
        }
        rest = behind;
    }
    name.filter(|name| !name.is_empty())
}

fn quoted_or_token(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    None
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let (first, len) = (*what.first()?, what.len());
    let mut from = 0;
    while text.len() - from >= len {
        from += text[from..=text.len() - len].iter().position(|&b| b == first)?;
        if text[from..].starts_with(what) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_pairs(text: &str, expected: &[(&str, &str)], malformed: Option<&str>) {
        let (found, error) = pairs(text.as_bytes());
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!((&found[..], error.as_deref()), (expected, malformed), "{text}");
    }

    #[test]
    fn pairs_are_decoded_and_malformed_ones_left_out() {
        check_pairs(
            "a=1+1&&b=%2B%c3%A9&c&=d&e=f=g",
            &[("a", "1 1"), ("b", "+é"), ("c", ""), ("", "d"), ("e", "f=g")],
            None,
        );
        check_pairs("a=1;2&b=3", &[("b", "3")], Some("invalid semicolon separator in query"));
        check_pairs("a=up%&b=%zz&c=1", &[("c", "1")], Some("invalid URL escape \"%\""));
        check_pairs("%4=1&c=%f", &[], Some("invalid URL escape \"%4\""));
        check_pairs("c=%ff", &[("c", "\u{fffd}")], None);
    }

    #[test]
    fn boundaries_are_found_in_quotes_or_without() {
        assert_eq!(boundary("multipart/form-data; boundary=ab"), Some("ab"));
        assert_eq!(boundary("multipart/form-data; charset=x; Boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("multipart/form-data; boundary="), None);
    }

    fn part(disposition: &str, content: &str) -> String {
        format!("--b\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    #[test]
    fn fields_of_multipart_forms_are_read_and_files_left_out() {
        let parts = [
            part("name=\"a\"", "1+1\r\n--c"),
            part("name=file; filename=x", "2"),
            part("name=\"q\\\"\"", ""),
            "--b\r\n\r\nno head\r\n".to_owned(),
            part("name=c", "\r\n"),
        ];
        let fields = multipart(format!("before\r\n{}--b--\r\nafter", parts.concat()).as_bytes(), "b").unwrap();
        let expected = [("a", "1+1\r\n--c"), ("q\"", ""), ("c", "\r\n")];
        assert_eq!(fields, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        let fields = multipart(format!("{}{}--b--", parts[1], parts[4]).as_bytes(), "b").unwrap();
        assert_eq!(fields, [("c".to_owned(), "\r\n".to_owned())]);
    }

    #[test]
    fn broken_multipart_forms_are_no_forms() {
        let whole = format!("{}--b--", part("name=a", "1"));
        assert!(multipart(whole.as_bytes(), "b").is_some());
        for len in 0..whole.len() {
            assert!(multipart(&whole.as_bytes()[..len], "b").is_none(), "{len}");
        }
        let many = format!("{}--b--", part("name=a", "1").repeat(PARTS_MAX + 1));
        assert!(multipart(many.as_bytes(), "b").is_none());
    }
}
