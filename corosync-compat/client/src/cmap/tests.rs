use super::*;

/// A change as the daemon sends it.
fn change(event: u32, new: (u8, &[u8]), old: (u8, &[u8])) -> Vec<u8> {
    let mut out = Writer::new();
    out.u64(7);
    put_key(&mut out, b"test.key").unwrap();
    out.u32(event).u32(0).u8(new.0).raw(&[0; 7]).u8(old.0).raw(&[0; 7]);
    out.u64(new.1.len() as u64).u64(old.1.len() as u64).raw(new.1).raw(old.1);
    out.finish()
}

#[test]
fn changes_carry_the_value_that_counts() {
    let key = || b"test.key".to_vec();
    let created = decode_change(&change(4, (11, b"on\0"), (0, b"")));
    assert_eq!(created, Ok(Change::Created(key(), Value::Text(b"on".to_vec()))));
    let modified = decode_change(&change(2, (2, &[9]), (2, &[8])));
    assert_eq!(modified, Ok(Change::Modified(key(), Value::U8(9))));
    let deleted = decode_change(&change(1, (0, b""), (4, &[1, 2])));
    assert_eq!(deleted, Ok(Change::Deleted(key(), Value::U16(0x0201))));
}

#[test]
fn changes_that_make_no_sense_are_errors() {
    let good = change(2, (8, &[0; 8]), (8, &[1; 8]));
    assert!(decode_change(&good).is_ok());
    for len in 0..good.len() {
        assert_eq!(decode_change(&good[..len]), Err(CsError::LIBRARY), "{len} bytes");
    }
    assert_eq!(decode_change(&change(3, (2, &[1]), (2, &[1]))), Err(CsError::LIBRARY));
    assert_eq!(decode_change(&change(2, (13, &[1]), (2, &[1]))), Err(CsError::LIBRARY));
    assert_eq!(decode_change(&change(2, (8, &[1]), (2, &[1]))), Err(CsError::LIBRARY));
    let mut long_name = good;
    long_name[8..10].copy_from_slice(&257_u16.to_le_bytes());
    assert_eq!(decode_change(&long_name), Err(CsError::LIBRARY));
}

#[test]
fn values_survive_the_wire() {
    let values = [
        Value::I8(-8),
        Value::U8(8),
        Value::I16(-16),
        Value::U16(16),
        Value::I32(-32),
        Value::U32(32),
        Value::I64(-64),
        Value::U64(64),
        Value::F32(0.5),
        Value::F64(-0.25),
        Value::Text(b"text".to_vec()),
        Value::Binary(vec![0, 1, 0]),
    ];
    for (value, number) in values.into_iter().zip(1..) {
        assert_eq!(value.kind().number(), number);
        assert_eq!(Kind::from_number(number), Some(value.kind()));
        assert_eq!(Value::from_bytes(value.kind(), &value.to_bytes()), Ok(value));
    }
    assert_eq!(Kind::from_number(0), None);
    assert_eq!(Kind::from_number(13), None);
}

#[test]
fn names_are_bounded() {
    let mut out = Writer::new();
    assert_eq!(put_key(&mut out, &[b'k'; MAX_KEY_LEN]), Ok(()));
    assert_eq!(out.finish().len(), 264);
    assert_eq!(put_key(&mut out, &[b'k'; MAX_KEY_LEN + 1]), Err(CsError::NAME_TOO_LONG));
    assert_eq!(put_key(&mut out, &vec![b'k'; 1 << 17]), Err(CsError::NAME_TOO_LONG));
}
