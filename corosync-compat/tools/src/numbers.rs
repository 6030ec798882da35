//! Numbers in the texts that strtoll(3) and sscanf(3) of C take.

/// A whole text that is a decimal number between `least` and `most`: blanks may
/// stand before it, nothing after it.
pub(crate) fn whole(text: &[u8], least: i64, most: i64) -> Option<i64> {
    let (negative, digits) = sign_and_digits(text)?;
    if digits.len() != without_blanks(text).len() - usize::from(has_sign(text)) {
        return None;
    }
    let magnitude = value(digits).filter(|value| *value <= 1 << 63)?;
    let number = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
    let number = i64::try_from(number).ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// The number that a text begins with, kept within the type's range.
pub(crate) fn scan_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign_and_digits(text)?;
    let magnitude = i128::from(value(digits).unwrap_or(u64::MAX));
    let number = if negative { -magnitude } else { magnitude };
    let number = number.clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(number).ok()
}

/// The number that a text begins with; a negative one counts back from the end
/// of the range, as C has it.
pub(crate) fn scan_u64(text: &[u8]) -> Option<u64> {
    let (negative, digits) = sign_and_digits(text)?;
    let Some(magnitude) = value(digits) else { return Some(u64::MAX) };
    Some(if negative { magnitude.wrapping_neg() } else { magnitude })
}

/// The number with fraction or exponent, the infinity or not-a-number that a
/// text begins with.
pub(crate) fn scan_float(text: &[u8]) -> Option<f64> {
    Some(float_text(text)?.parse().expect("a text that was taken for a number"))
}

/// As [`scan_float`], rounded once only.
pub(crate) fn scan_float32(text: &[u8]) -> Option<f32> {
    Some(float_text(text)?.parse().expect("a text that was taken for a number"))
}

/// `%f` of C: six digits after the point.
pub(crate) fn fixed(number: f64) -> String {
    match number {
        n if n.is_nan() => if n.is_sign_negative() { "-nan" } else { "nan" }.into(),
        n if n.is_infinite() => if n < 0.0 { "-inf" } else { "inf" }.into(),
        n => format!("{n:.6}"),
    }
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !is_blank(b)).unwrap_or(text.len());
    &text[start..]
}

fn has_sign(text: &[u8]) -> bool {
    matches!(without_blanks(text), [b'+' | b'-', ..])
}

fn sign_and_digits(text: &[u8]) -> Option<(bool, &[u8])> {
    let text = without_blanks(text);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = leading_digits(text);
    (!digits.is_empty()).then_some((negative, digits))
}

fn leading_digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

fn value(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// The beginning of a text that is a number in Rust's eyes, too.
fn float_text(text: &[u8]) -> Option<String> {
    let text = without_blanks(text);
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let sign = if text.first() == Some(&b'-') { "-" } else { "" };
    for word in ["inf", "nan"] {
        if begins(unsigned, word) {
            // Who goes on with an "i" has to finish the long word.
            let is_cut = begins(unsigned, "infi") && !begins(unsigned, "infinity");
            return (!is_cut).then(|| format!("{sign}{word}"));
        }
    }
    let whole = leading_digits(unsigned);
    let after = &unsigned[whole.len()..];
    let fraction = match after {
        [b'.', rest @ ..] => leading_digits(rest),
        _ => &[],
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let point = usize::from(after.first() == Some(&b'.'));
    let exponent = exponent(&after[point + fraction.len()..]);
    let text = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
    Some(format!("{sign}0{}.{}0{exponent}", text(whole), text(fraction)))
}

fn begins(text: &[u8], word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

/// The exponent that a text begins with; one without digits counts for none.
fn exponent(text: &[u8]) -> String {
    let [b'e' | b'E', rest @ ..] = text else { return String::new() };
    let (sign, rest) = match rest {
        [b'-', rest @ ..] => ("-", rest),
        [b'+', rest @ ..] => ("", rest),
        _ => ("", rest),
    };
    match leading_digits(rest) {
        [] => String::new(),
        digits => format!("e{sign}{}", String::from_utf8_lossy(digits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_leave_nothing_over() {
        assert_eq!(whole(b"17", 1, 20), Some(17));
        assert_eq!(whole(b" \t+17", 1, 20), Some(17));
        assert_eq!(whole(b"-1", -5, 20), Some(-1));
        for text in ["", " ", "17x", "17 ", "0x11", "-", "21", "0", "99999999999999999999"] {
            assert_eq!(whole(text.as_bytes(), 1, 20), None, "{text:?}");
        }
        assert_eq!(whole(b"-9223372036854775808", i64::MIN, 0), Some(i64::MIN));
        assert_eq!(whole(b"9223372036854775808", i64::MIN, i64::MAX), None);
    }

    #[test]
    fn scanned_numbers_end_where_they_end() {
        assert_eq!(scan_i64(b" -12abc"), Some(-12));
        assert_eq!(scan_i64(b"99999999999999999999"), Some(i64::MAX));
        assert_eq!(scan_i64(b"-99999999999999999999"), Some(i64::MIN));
        assert_eq!(scan_i64(b"abc"), None);
        assert_eq!(scan_u64(b"-1"), Some(u64::MAX));
        assert_eq!(scan_u64(b"99999999999999999999"), Some(u64::MAX));
        assert_eq!(scan_u64(b""), None);
    }

    #[test]
    fn floats_are_scanned_and_shown() {
        let shown = |text: &str| scan_float(text.as_bytes()).map(fixed);
        assert_eq!(shown("1.5x").unwrap(), "1.500000");
        assert_eq!(shown("-.25").unwrap(), "-0.250000");
        assert_eq!(shown("3.").unwrap(), "3.000000");
        assert_eq!(shown("1e3").unwrap(), "1000.000000");
        assert_eq!(shown("-Infinity").unwrap(), "-inf");
        assert_eq!(shown("nan").unwrap(), "nan");
        assert_eq!(shown("1e").unwrap(), "1.000000");
        assert_eq!(shown("."), None);
        assert_eq!(shown("x"), None);
        assert_eq!(scan_float32(b"0.1").map(|f| fixed(f.into())).unwrap(), "0.100000");
    }
}
