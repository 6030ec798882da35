use super::*;

#[test]
fn every_type_survives_the_wire() {
    let values = [
        Value::I8(-1),
        Value::U8(255),
        Value::I16(-2),
        Value::U16(65535),
        Value::I32(i32::MIN),
        Value::U32(u32::MAX),
        Value::I64(i64::MIN),
        Value::U64(u64::MAX),
        Value::Float(1.5),
        Value::Double(-0.25),
        Value::text("ring"),
        Value::Binary(vec![0, 1, 0]),
    ];
    for (value, number) in values.into_iter().zip(1u8..) {
        assert_eq!(value.value_type() as u8, number);
        assert_eq!(Type::from_number(number), Some(value.value_type()));
        let bytes = value.to_bytes();
        assert_eq!(bytes.len(), value.wire_len());
        assert_eq!(Value::from_bytes(value.value_type(), &bytes), Some(value));
    }
    assert_eq!(Type::from_number(0), None);
    assert_eq!(Type::from_number(13), None);
}

#[test]
fn a_text_may_be_cut_short_but_not_reach_beyond_its_end() {
    let text = |len, sent: &[u8]| Value::from_client(Type::Text, len, sent);
    assert_eq!(text(4, b"ring"), Some(Value::text("ring")));
    assert_eq!(text(5, b"ring\0"), Some(Value::text("ring")));
    assert_eq!(text(2, b"ring"), Some(Value::text("ri")));
    assert_eq!(text(0, b""), Some(Value::text("")));
    assert_eq!(text(6, b"ring\0\0"), None);
    assert_eq!(text(9, b"ring"), None);
    assert_eq!(text(u64::MAX, b"ring"), None);
}

#[test]
fn numbers_need_their_exact_length_and_bytes_a_bound() {
    assert_eq!(Value::from_client(Type::U32, 4, &[1, 0, 0, 0, 9]), Some(Value::U32(1)));
    assert_eq!(Value::from_client(Type::U32, 3, &[1, 0, 0, 0]), None);
    assert_eq!(Value::from_client(Type::U32, 4, &[1, 0]), None);
    let most = vec![7; MAX_LEN + 1];
    assert_eq!(
        Value::from_client(Type::Binary, MAX_LEN as u64, &most),
        Some(Value::Binary(vec![7; MAX_LEN]))
    );
    assert_eq!(Value::from_client(Type::Binary, MAX_LEN as u64 + 1, &most), None);
}

#[test]
fn adjusting_wraps_in_the_type_of_the_value() {
    assert_eq!(Value::U8(255).adjusted(1), Some(Value::U8(0)));
    assert_eq!(Value::U8(0).adjusted(-1), Some(Value::U8(255)));
    assert_eq!(Value::I8(127).adjusted(1), Some(Value::I8(-128)));
    assert_eq!(Value::U16(0).adjusted(-1), Some(Value::U16(65535)));
    assert_eq!(Value::I16(5).adjusted(65536), Some(Value::I16(5)));
    assert_eq!(Value::U32(0).adjusted(-1), Some(Value::U32(u32::MAX)));
    assert_eq!(Value::U64(0).adjusted(-1), Some(Value::U64(u64::MAX)));
    assert_eq!(Value::I64(-1).adjusted(1), Some(Value::I64(0)));
    assert_eq!(Value::text("1").adjusted(1), None);
    assert_eq!(Value::Double(1.0).adjusted(1), None);
}
