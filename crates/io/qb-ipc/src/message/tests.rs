use super::*;

#[test]
fn sizes_are_those_of_the_c_structures() {
    let request = encode_connection_request(ConnectionRequest { max_msg_size: 7 });
    assert_eq!(request.len(), CONNECTION_REQUEST_SIZE);
    assert_eq!(&request[16..20], &[7, 0, 0, 0]);
    let response = encode_connection_response(&ConnectionResponse::default());
    assert_eq!(response.len(), CONNECTION_RESPONSE_SIZE);
}

#[test]
fn the_handshake_comes_back() {
    let request = ConnectionRequest { max_msg_size: u32::MAX };
    assert_eq!(decode_connection_request(&encode_connection_request(request)), Ok(request));
    let response = ConnectionResponse {
        error: 0,
        kind: 1,
        max_msg_size: 12328,
        cookie: 1 << 40,
        request: "/dev/shm/qb-1-2-3-abcdef/qb-request-cpg".into(),
        response: "r".into(),
        event: String::new(),
    };
    assert_eq!(decode_connection_response(&encode_connection_response(&response)), Ok(response));
}

#[test]
fn a_refusal_carries_no_names() {
    let refused = ConnectionResponse { error: -13, kind: 9, ..ConnectionResponse::default() };
    let decoded = decode_connection_response(&encode_connection_response(&refused)).unwrap();
    assert_eq!(decoded.error, -13);
}

#[test]
fn a_name_without_an_end_is_malformed() {
    let mut bytes = encode_connection_response(&ConnectionResponse::default());
    bytes[40..40 + 4096].fill(b'x');
    assert_eq!(decode_connection_response(&bytes).unwrap_err().wanted, "a name that ends");
}

#[test]
fn wrong_ids_and_lengths_of_a_connection_request_are_malformed() {
    let good = encode_connection_request(ConnectionRequest { max_msg_size: 1 });
    for id in [0, 1, -2, -3, i32::MIN] {
        let mut bytes = good.clone();
        bytes[..4].copy_from_slice(&id.to_ne_bytes());
        assert!(decode_connection_request(&bytes).is_err());
    }
    for len in 0..good.len() {
        assert!(decode_connection_request(&good[..len]).is_err());
    }
    let mut longer = good;
    longer.push(0);
    assert!(decode_connection_request(&longer).is_err());
}

#[test]
fn claimed_sizes_are_bounded_by_what_came_and_by_the_channel() {
    let message = |size: i32, len: usize| {
        let mut bytes = vec![0; len];
        bytes[8..12].copy_from_slice(&size.to_ne_bytes());
        bytes
    };
    for size in [i32::MIN, -1, 0, 15, 33, 1000, i32::MAX] {
        assert!(decode_request(&message(size, 32), 4096).is_err(), "{size}");
    }
    assert!(decode_request(&message(32, 32), 31).is_err());
    assert_eq!(decode_request(&message(32, 32), 32).unwrap().1.len(), 16);
    assert_eq!(decode_request(&message(20, 32), 32).unwrap().1.len(), 4);
    assert_eq!(decode_request(&message(16, 16), 32).unwrap().1.len(), 0);
    assert!(decode_response(&message(16, 32), 32).is_err());
    assert_eq!(decode_response(&message(24, 32), 32).unwrap().1.len(), 0);
}

#[test]
fn headers_say_what_was_put_in() {
    let header = decode_response_header(&response_header(5, -11, 10)).unwrap();
    assert_eq!(header, ResponseHeader { id: 5, size: 34, error: -11 });
    let header = decode_request_header(&request_header(-3, 0)).unwrap();
    assert_eq!(header, RequestHeader { id: -3, size: 16 });
}

#[test]
fn the_control_file_has_three_records() {
    let mut bytes = [0; CONTROL_SIZE];
    bytes[4] = 2;
    bytes[16] = 9;
    let records = decode_control(&bytes).unwrap();
    assert_eq!(records[0], Control { sent: 0, flow_control: 2 });
    assert_eq!(records[2], Control { sent: 9, flow_control: 0 });
    assert!(decode_control(&bytes[..23]).is_err());
}
