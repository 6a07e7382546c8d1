//! Hash rates as people write them: `50k`, `1.5M`.

/// The letters and what they stand for, smallest first.
const UNITS: [(char, u64); 4] = [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000), ('T', 1_000_000_000_000)];

/// A text that is no hash rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is no hash rate; write a number of hashes per second such as 800, 50k or 1.5M")]
pub struct ParseHashRateError {
    /// The text.
    pub got: String,
}

/// The hashes per second that `text` states: digits, perhaps a decimal fraction, perhaps one of `k`, `M`, `G`, `T`.
/// A fraction must come out at whole hashes.
pub fn parse_hash_rate(text: &str) -> Result<u64, ParseHashRateError> {
    parse(text).ok_or_else(|| ParseHashRateError { got: text.to_owned() })
}

/// The shortest text of `rate` to three decimals: `1.5M`.
pub fn format_hash_rate(rate: u64) -> String {
    if rate < 1000 {
        return rate.to_string();
    }
    let thousandths = |unit: u64| (u128::from(rate) * 1000 + u128::from(unit) / 2) / u128::from(unit);
    // The letter is chosen after rounding: 999.9996 million is `1G`, not `1000M`.
    let [.., largest] = UNITS;
    let fitting = UNITS.into_iter().find(|&(_, unit)| thousandths(unit) < 1_000_000);
    let (letter, unit) = fitting.unwrap_or(largest);
    let (whole, fraction) = (thousandths(unit) / 1000, thousandths(unit) % 1000);
    let text = format!("{whole}.{fraction:03}");
    format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn parse(text: &str) -> Option<u64> {
    let last = text.chars().next_back()?;
    let (number, unit) = match UNITS.into_iter().find(|(letter, _)| letter.eq_ignore_ascii_case(&last)) {
        Some((_, unit)) => (&text[..text.len() - 1], unit),
        None => (text, 1),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = scaled.checked_mul(u128::from(unit))?;
    if !scaled.is_multiple_of(scale) {
        return None;
    }
    u64::try_from(scaled / scale).ok()
}
