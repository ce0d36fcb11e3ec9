/// Reads RFC 3339 text, `2026-01-02T03:04:05.678+09:00`, as microseconds since
/// 1970-01-01 UTC. What is finer is cut off.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let t = text.as_bytes();
    if t.len() < 20 || t[10] != b'T' || t[13] != b':' || t[16] != b':' {
        return None;
    }
    let days = i64::from(days(&t[..10])?);
    let (h, m, s) = (digits(&t[11..13])?, digits(&t[14..16])?, digits(&t[17..19])?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let (fraction, zone) = match t[19] {
        b'.' => fraction(&t[20..])?,
        _ => (0, &t[19..]),
    };
    let seconds = days * 86400 + i64::from(h * 3600 + m * 60 + s) - offset(zone)?;
    Some(seconds * 1_000_000 + i64::from(fraction))
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    days(text.as_bytes())
}

fn days(t: &[u8]) -> Option<i32> {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if t.len() != 10 || t[4] != b'-' || t[7] != b'-' {
        return None;
    }
    let (y, m, d) = (digits(&t[..4])?, digits(&t[5..7])?, digits(&t[8..])?);
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    if !(1..=12).contains(&m) || d < 1 || d > LENGTHS[m as usize - 1] + u32::from(m == 2 && leap) {
        return None;
    }
    // Years begin with March here, so that the leap day is the last one.
    let year = y + 400 - u32::from(m <= 2); // never negative
    let month = (m + 9) % 12;
    let count = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + d - 1;
    Some(count as i32 - 719_468 - 146_097)
}

fn digits(t: &[u8]) -> Option<u32> {
    let mut v = 0;
    for c in t {
        let d = c.wrapping_sub(b'0');
        if d > 9 {
            return None;
        }
        v = v * 10 + u32::from(d);
    }
    Some(v)
}

/// The microseconds behind the point, and what follows them.
fn fraction(t: &[u8]) -> Option<(u32, &[u8])> {
    let n = t.iter().take_while(|c| c.is_ascii_digit()).count();
    let kept = n.min(6);
    let v = digits(&t[..kept])? * 10u32.pow(6 - kept as u32);
    (n > 0).then(|| (v, &t[n..]))
}

/// The seconds that a zone is ahead of UTC.
fn offset(t: &[u8]) -> Option<i64> {
    match t {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 && rest[2] == b':' => {
            let (h, m) = (digits(&rest[..2])?, digits(&rest[3..])?);
            let seconds = i64::from(h * 3600 + m * 60);
            (h <= 23 && m <= 59).then(|| if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.0000019Z", Some(1)),
            ("1969-12-31T23:59:59.5Z", Some(-500_000)),
            ("2026-01-02T03:04:05+09:00", Some(1_767_290_645_000_000)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200_000_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-01-02T03:04:05.Z", None),
            ("2026-01-02T03:04:05+0900", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text), want, "{}", text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = parse_date("1599-12-31").unwrap();
        for y in 1600..2001 {
            for m in 1..13 {
                for d in 1..32 {
                    if let Some(day) = parse_date(&format!("{:04}-{:02}-{:02}", y, m, d)) {
                        assert_eq!(day, last + 1, "{}-{}-{}", y, m, d);
                        last = day;
                    }
                }
            }
        }
    }
}
