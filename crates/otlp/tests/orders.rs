//! A number point means the same in every order of its fields, with fields of their own between them, and said twice.

use mytsdb_otlp::wire::{NumberPoint, NumberValue};

/// Start, time, a value and two attributes, each as a field.
fn fields(value_tag: u8) -> [Vec<u8>; 5] {
    let fixed = |tag: u8, number: u64| [&[tag][..], &number.to_le_bytes()].concat();
    let attribute = |text: &[u8]| [&[0x3a, text.len() as u8][..], text].concat();
    [fixed(0x11, 100), fixed(0x19, 200), fixed(value_tag, 2.5f64.to_bits()), attribute(b"a"), attribute(b"bcd")]
}

/// Every order of `0..5`.
fn orders() -> Vec<Vec<usize>> {
    let digits = |mut number: usize| {
        (0..5).map(move |_| {
            let digit = number % 5;
            number /= 5;
            digit
        })
    };
    let all = (0..5usize.pow(5)).map(|number| digits(number).collect::<Vec<_>>());
    all.filter(|order| (0..5).all(|field| order.contains(&field))).collect()
}

#[test]
fn every_order_of_fields_says_the_same() {
    assert_eq!(orders().len(), 120);
    for (value_tag, value) in
        [(0x21, NumberValue::Double(2.5)), (0x31, NumberValue::Int(2.5f64.to_bits().cast_signed()))]
    {
        let fields = fields(value_tag);
        for order in orders() {
            let bytes: Vec<u8> = order.iter().flat_map(|&field| fields[field].clone()).collect();
            let point = NumberPoint::parse(&bytes).unwrap();
            assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (100, 200), "{order:?}");
            assert_eq!(point.value, Some(value), "{order:?}");
            let places = [3, 4].map(|attribute| order.iter().position(|&field| field == attribute).unwrap());
            let (first, last) = (places[0].min(places[1]), places[0].max(places[1]));
            assert_eq!(point.attributes.scattered, last - first > 1, "{order:?}");
            if last - first == 1 {
                let run: Vec<u8> = order[first..=last].iter().flat_map(|&field| fields[field].clone()).collect();
                assert_eq!(point.attributes.bytes, run, "{order:?}");
            }
        }
    }
}

#[test]
fn the_last_of_fields_that_come_twice_counts_and_a_cut_is_an_error() {
    let fields = fields(0x21);
    let usual = fields.concat();
    let twice = [&usual[..], &[0x11], &7u64.to_le_bytes(), &[0x31], &9u64.to_le_bytes()].concat();
    let point = NumberPoint::parse(&twice).unwrap();
    assert_eq!((point.start_time_unix_nano, point.value), (7, Some(NumberValue::Int(9))));
    let ends: Vec<usize> = fields
        .iter()
        .scan(0, |end, field| {
            *end += field.len();
            Some(*end)
        })
        .collect();
    for length in 1..usual.len() {
        assert_eq!(NumberPoint::parse(&usual[..length]).is_ok(), ends.contains(&length), "{length} bytes");
    }
}
