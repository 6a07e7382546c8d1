//! What happens next: a calendar queue (Brown 1988) over (time, sequence). Insertion and removal cost a few nanoseconds
//! however many events wait, where a heap would pay a cache miss for each of its levels.
//!
//! Time is cut into days. The days of one year lie in a ring of buckets; what is due in a later year waits by its year.
//! The present day is sorted, and so are the next few when they are first looked at; the others are not. The length of a day
//! follows the density of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use synod_machine::Time;

/// When something is due, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) at: Time,
    /// Ties in time go by it: first scheduled, first to happen.
    pub(crate) sequence: u64,
    /// Whom it concerns.
    pub(crate) peer: u32,
    /// What it is; the world's to interpret.
    pub(crate) what: u32,
}

impl Entry {
    /// One that concerns nobody.
    pub(crate) const NOTHING: Self = Self { at: Time::ZERO, sequence: 0, peer: u32::MAX, what: u32::MAX };
}

/// The queue.
pub(crate) struct Queue {
    /// Today's entries as the day began, the next one last.
    today: Vec<Entry>,
    /// What came for today since then.
    late: BinaryHeap<Reverse<Entry>>,
    /// The number of this year.
    year: u64,
    /// How many days of this year are over, today among them.
    begun: u64,
    /// The other days of this year, unsorted but for those in `coming`.
    days: Vec<Vec<Entry>>,
    /// The next of them that have entries, for who looks ahead. Each was sorted when it came among these; what came since is not.
    coming: VecDeque<u64>,
    /// Room of days that are over, which others get: few are busy at a time, and what was used last is in the caches.
    spare: Vec<Vec<Entry>>,
    /// A bit for each day of the year that is not empty.
    busy: [u64; YEAR as usize / 64],
    /// Entries of later years, unsorted.
    years: BTreeMap<u64, Vec<Entry>>,
    /// A day has 2^shift nanoseconds.
    shift: u32,
    len: usize,
    sequence: u64,
    /// Entries and days since the last look at how long days are.
    seen: (u64, u64),
}

/// So many entries are known ahead, if there are as many in this year.
pub(crate) const AHEAD_MAX: usize = 16;
/// Days in a year.
const YEAR: u64 = 4_096;
/// A day of 2^17 ns, an eighth of a millisecond, to begin with.
const SHIFT_FIRST: u32 = 17;
/// From a microsecond to a millisecond. In a desert longer days would skip faster, but the burst that ends it would then fall
/// into one day, and all of it into the heap of what is late.
const SHIFTS: std::ops::RangeInclusive<u32> = 10..=20;
/// Entries of a day between which its length is left as it is.
const DENSITY: std::ops::RangeInclusive<u64> = 4..=64;

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            today: Vec::new(),
            late: BinaryHeap::new(),
            year: 0,
            begun: 0,
            days: vec![Vec::new(); YEAR as usize],
            coming: VecDeque::new(),
            spare: Vec::new(),
            busy: [0; YEAR as usize / 64],
            years: BTreeMap::new(),
            shift: SHIFT_FIRST,
            len: 0,
            sequence: 0,
            seen: (0, 0),
        }
    }

    /// How many entries wait.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The number that the next entry gets: every entry with a lower one was scheduled before now.
    pub(crate) const fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// Gives the next number to what will never happen: whatever is drawn by number is drawn anew for what comes after it.
    pub(crate) const fn skip(&mut self) {
        self.sequence += 1;
    }

    /// Schedules; nothing is scheduled before what was taken last.
    #[inline]
    pub(crate) fn push(&mut self, at: Time, peer: u32, what: u32) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.len += 1;
        self.place(at, sequence, peer, what);
    }

    /// Schedules an entry that was taken for a later time, as something else, under its old number.
    pub(crate) fn push_again(&mut self, at: Time, entry: Entry, what: u32) {
        self.len += 1;
        self.place(at, entry.sequence, entry.peer, what);
    }

    /// Takes the next entry, if it is due by `end`.
    #[inline(always)]
    pub(crate) fn pop(&mut self, end: Time) -> Option<Entry> {
        while self.today.is_empty() && self.late.is_empty() {
            if !self.turn_page(end) {
                return None;
            }
        }
        let next = match (self.today.last(), self.late.peek()) {
            (Some(early), Some(Reverse(late))) => early.min(late),
            (Some(early), None) => early,
            (None, late) => &late?.0,
        };
        if next.at > end {
            return None;
        }
        self.len -= 1;
        if self.today.last() == Some(next) { self.today.pop() } else { self.late.pop().map(|Reverse(late)| late) }
    }

    /// What will be taken after so many others, fewer than [`AHEAD_MAX`], as far as that is known today.
    #[inline]
    pub(crate) fn ahead(&self, count: usize) -> Option<&Entry> {
        let mut day = &self.today;
        let (mut left, mut coming) = (count + 1, self.coming.iter());
        while day.len() < left {
            left -= day.len();
            day = &self.days[*coming.next()? as usize];
        }
        Some(&day[day.len() - left])
    }

    /// An entry comes in parts, which are written to where they stay: one that was just put together and is moved makes the processor wait.
    #[inline]
    fn place(&mut self, at: Time, sequence: u64, peer: u32, what: u32) {
        let entry = Entry { at, sequence, peer, what };
        let day = at.0 >> self.shift;
        let (year, place) = (day / YEAR, day % YEAR);
        if (year, place) < (self.year, self.begun) {
            self.late.push(Reverse(entry));
        } else if year == self.year {
            let day = &mut self.days[place as usize];
            if day.capacity() == 0 {
                *day = self.spare.pop().unwrap_or_default();
            }
            day.push(entry);
            self.busy[place as usize / 64] |= 1 << (place % 64);
        } else {
            self.years.entry(year).or_default().push(entry);
        }
    }

    /// Makes the next day with entries today, or the next year this one, unless it begins after `end`. Whether it did.
    fn turn_page(&mut self, end: Time) -> bool {
        let last = end.0 >> self.shift;
        let Some(place) = self.next_busy_day(self.begun) else {
            let is_due = self.years.first_key_value().is_some_and(|(&year, _)| year <= last / YEAR);
            if is_due {
                self.turn_year();
            }
            return is_due;
        };
        if self.year * YEAR + place > last {
            return false;
        }
        self.begun = place + 1;
        self.busy[place as usize / 64] &= !(1 << (place % 64));
        let next = std::mem::take(&mut self.days[place as usize]);
        self.spare.push(std::mem::replace(&mut self.today, next));
        sort(&mut self.today);
        self.look_ahead();
        self.seen = (self.seen.0 + self.today.len() as u64, self.seen.1 + 1);
        true
    }

    /// Spreads the next year's entries over its days.
    fn turn_year(&mut self) {
        self.retune();
        let (year, entries) = self.years.pop_first().expect("a later year has entries");
        self.year = year;
        self.begun = 0;
        self.coming.clear();
        for Entry { at, sequence, peer, what } in entries {
            self.place(at, sequence, peer, what);
        }
    }

    /// Sees to it that of the days to come enough are known.
    fn look_ahead(&mut self) {
        while self.coming.front().is_some_and(|place| *place < self.begun) {
            self.coming.pop_front();
        }
        let mut known: usize = self.coming.iter().map(|place| self.days[*place as usize].len()).sum();
        while known < AHEAD_MAX {
            let first = self.coming.back().map_or(self.begun, |place| place + 1);
            let Some(place) = self.next_busy_day(first) else { return };
            let day = &mut self.days[place as usize];
            sort(day);
            known += day.len();
            self.coming.push_back(place);
        }
    }

    /// The place in the year of the first day with entries from this one on.
    fn next_busy_day(&self, first: u64) -> Option<u64> {
        let mut word = first as usize / 64;
        let mut bits = self.busy.get(word)? & (u64::MAX << (first % 64));
        while bits == 0 {
            word += 1;
            bits = *self.busy.get(word)?;
        }
        Some(word as u64 * 64 + u64::from(bits.trailing_zeros()))
    }

    /// Makes days shorter where they are crowded and longer where they are empty. Only done when the ring is empty.
    fn retune(&mut self) {
        let (entries, days) = std::mem::take(&mut self.seen);
        let Some(density) = entries.checked_div(days) else { return };
        let shift = if density > *DENSITY.end() {
            self.shift - 1
        } else if density < *DENSITY.start() {
            self.shift + 1
        } else {
            return;
        };
        if !SHIFTS.contains(&shift) {
            return;
        }
        self.shift = shift;
        let waiting = std::mem::take(&mut self.years);
        for entry in waiting.into_values().flatten() {
            self.years.entry((entry.at.0 >> shift) / YEAR).or_default().push(entry);
        }
    }
}

/// The next one last.
fn sort(entries: &mut [Entry]) {
    if !entries.is_sorted_by(|one, other| one > other) {
        entries.sort_unstable_by(|one, other| other.cmp(one));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use synod_machine::Rng;

    use super::*;

    /// Spans between events from nothing to hours, so that days are retuned both ways.
    fn span(rng: &mut Rng, round: u64) -> u64 {
        let bits = match round / 20_000 % 3 {
            0 => 12,
            1 => 24,
            _ => 43,
        };
        rng.next_u64() & ((1 << rng.below(bits)) - 1)
    }

    #[test]
    fn entries_come_out_as_out_of_a_sorted_set() {
        let mut rng = Rng::new(1, 0, "queue");
        let mut queue = Queue::new();
        let mut model = BTreeSet::new();
        let mut now = 0;
        for round in 0..120_000 {
            let burst = if rng.below(100) == 0 { 500 } else { rng.below(3) };
            for _ in 0..burst {
                let at = now + span(&mut rng, round);
                model.insert((at, queue.next_sequence(), round as u32));
                queue.push(Time(at), round as u32, 7);
            }
            let end = now + span(&mut rng, round);
            for _ in 0..rng.below(8) {
                let expected = model.first().copied().filter(|&(at, ..)| at <= end);
                let got = queue.pop(Time(end)).map(|entry| (entry.at.0, entry.sequence, entry.peer));
                assert_eq!(got, expected, "round {round}");
                let Some((at, ..)) = got else {
                    now = now.max(end);
                    break;
                };
                model.pop_first();
                now = at;
                // What came since a day was looked at may be left out, but nothing is named that does not wait.
                let named = queue.ahead(rng.below(AHEAD_MAX as u64) as usize);
                assert!(named.is_none_or(|entry| model.contains(&(entry.at.0, entry.sequence, entry.peer))));
            }
            assert_eq!(queue.len(), model.len());
        }
        assert!(queue.sequence > 100_000, "much was scheduled");
        while let Some(expected) = model.pop_first() {
            let got = queue.pop(Time::MAX).map(|entry| (entry.at.0, entry.sequence, entry.peer));
            assert_eq!(got, Some(expected));
        }
        assert_eq!(queue.pop(Time::MAX), None);
    }

    #[test]
    fn while_nothing_new_comes_the_next_entries_of_the_year_are_known_ahead_and_in_order() {
        let mut rng = Rng::new(1, 0, "ahead");
        let mut queue = Queue::new();
        let (mut now, mut all_known, mut several_days, mut cut_by_the_year) = (0, 0, 0, 0);
        for round in 0..300 {
            let mut model = BTreeSet::new();
            // From a day after the last on, so that nothing comes late.
            let begin = now + (1 << (SHIFTS.end() + 1));
            for _ in 0..rng.below(400) {
                let at = begin + span(&mut rng, round * 200);
                model.insert((at, queue.next_sequence()));
                queue.push(Time(at), 0, 0);
            }
            while let Some(taken) = queue.pop(Time::MAX) {
                now = taken.at.0;
                model.pop_first();
                let day = |at: u64| at >> queue.shift;
                let this_year = model.iter().filter(|(at, _)| day(*at) / YEAR == queue.year);
                let expected: Vec<(u64, u64)> = this_year.take(AHEAD_MAX).copied().collect();
                let named = (0..AHEAD_MAX).map_while(|count| queue.ahead(count));
                assert_eq!(
                    named.map(|entry| (entry.at.0, entry.sequence)).collect::<Vec<_>>(),
                    expected,
                    "round {round}"
                );
                all_known += u32::from(expected.len() == AHEAD_MAX);
                let days: BTreeSet<u64> = expected.iter().map(|(at, _)| day(*at)).collect();
                several_days += u32::from(days.len() > 2);
                cut_by_the_year += u32::from(expected.len() < AHEAD_MAX.min(model.len()));
            }
            assert!(model.is_empty());
        }
        assert!(all_known > 1_000, "often there are as many: {all_known}");
        assert!(several_days > 1_000, "often they lie in several days: {several_days}");
        assert!(cut_by_the_year > 1_000, "often the year ends before: {cut_by_the_year}");
    }

    #[test]
    fn what_is_due_later_than_asked_stays() {
        let mut queue = Queue::new();
        queue.push(Time::from_secs(3_600), 1, 0);
        assert_eq!(queue.pop(Time::from_secs(3_599)), None);
        queue.push(Time::from_secs(3_599), 2, 0);
        assert_eq!(queue.pop(Time::from_secs(3_600)).map(|entry| entry.peer), Some(2));
        assert_eq!(queue.pop(Time::from_secs(3_600)).map(|entry| entry.peer), Some(1));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn days_become_short_in_a_crowd_and_long_in_a_desert() {
        let mut queue = Queue::new();
        for event in 0..2_000_000_u64 {
            queue.push(Time(event * 1_000), 0, 0);
        }
        while queue.pop(Time::MAX).is_some() {}
        assert!(queue.shift < SHIFT_FIRST, "{}", queue.shift);
        for event in 1..20_000_u64 {
            queue.push(Time::from_secs(event * 10), 0, 0);
        }
        while queue.pop(Time::MAX).is_some() {}
        assert!(queue.shift > SHIFT_FIRST, "{}", queue.shift);
    }
}
