internal import CRabbitMQ
internal import Glibc

/// C memory for the arguments of one call into librabbitmq.
struct CallMemory {
    fileprivate var blocks: [UnsafeMutableRawPointer] = []

    fileprivate mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(size, 1), alignment: 16)
        blocks.append(block)
        return block
    }

    mutating func bytes(_ text: String) -> amqp_bytes_t {
        let utf8 = text.utf8
        let block = allocate(utf8.count)
        UnsafeMutableRawBufferPointer(start: block, count: utf8.count).copyBytes(from: utf8)
        return amqp_bytes_t(len: utf8.count, bytes: block)
    }

    mutating func table(_ members: [(String, HeaderValue)]) -> amqp_table_t {
        guard !members.isEmpty else { return amqp_table_t() }
        let entries = allocate(members.count * MemoryLayout<amqp_table_entry_t>.stride)
            .bindMemory(to: amqp_table_entry_t.self, capacity: members.count)
        for (index, (name, value)) in members.enumerated() {
            var entry = amqp_table_entry_t()
            entry.key = bytes(name)
            switch value {
            case .integer(let integer):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
                entry.value.value.i64 = integer
            case .text(let text):
                entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
                entry.value.value.bytes = bytes(text)
            }
            (entries + index).initialize(to: entry)
        }
        return amqp_table_t(num_entries: Int32(clamping: members.count), entries: entries)
    }

    mutating func properties(_ publication: Publication) -> amqp_basic_properties_t {
        var properties = amqp_basic_properties_t()
        properties._flags = UInt32(AMQP_BASIC_DELIVERY_MODE_FLAG)
        properties.delivery_mode = UInt8(AMQP_DELIVERY_PERSISTENT.rawValue)
        if let messageID = publication.messageID {
            properties._flags |= UInt32(AMQP_BASIC_MESSAGE_ID_FLAG)
            properties.message_id = bytes(messageID)
        }
        if let contentType = publication.contentType {
            properties._flags |= UInt32(AMQP_BASIC_CONTENT_TYPE_FLAG)
            properties.content_type = bytes(contentType)
        }
        if !publication.headers.isEmpty {
            properties._flags |= UInt32(AMQP_BASIC_HEADERS_FLAG)
            properties.headers = table(publication.headers.map { ($0.name, $0.value) })
        }
        return properties
    }
}

/// The memory is valid until `body` returns; librabbitmq keeps no pointer to arguments beyond a call.
@discardableResult func withCallMemory<Result>(_ body: (inout CallMemory) -> Result) -> Result {
    var memory = CallMemory()
    defer { for block in memory.blocks { block.deallocate() } }
    return body(&memory)
}

func text(_ bytes: amqp_bytes_t) -> String {
    String(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
}

extension ReceivedMessage {
    /// Copies; names and values that are no UTF-8 count as absent.
    init(_ message: amqp_message_t) {
        let properties = message.properties
        body = Array(UnsafeRawBufferPointer(start: message.body.bytes, count: message.body.len))
        if properties._flags & UInt32(AMQP_BASIC_MESSAGE_ID_FLAG) != 0 { messageID = validText(properties.message_id) }
        guard properties._flags & UInt32(AMQP_BASIC_HEADERS_FLAG) != 0, let entries = properties.headers.entries else { return }
        for entry in UnsafeBufferPointer(start: entries, count: Int(properties.headers.num_entries)) {
            if let name = validText(entry.key), let value = HeaderValue(entry.value) { headers[name] = value }
        }
    }
}

extension HeaderValue {
    fileprivate init?(_ field: amqp_field_value_t) {
        switch amqp_field_value_kind_t(rawValue: UInt32(field.kind)) {
        case AMQP_FIELD_KIND_UTF8, AMQP_FIELD_KIND_BYTES:
            guard let text = validText(field.value.bytes) else { return nil }
            self = .text(text)
        case AMQP_FIELD_KIND_I8: self = .integer(Int64(field.value.i8))
        case AMQP_FIELD_KIND_U8: self = .integer(Int64(field.value.u8))
        case AMQP_FIELD_KIND_I16: self = .integer(Int64(field.value.i16))
        case AMQP_FIELD_KIND_U16: self = .integer(Int64(field.value.u16))
        case AMQP_FIELD_KIND_I32: self = .integer(Int64(field.value.i32))
        case AMQP_FIELD_KIND_U32: self = .integer(Int64(field.value.u32))
        case AMQP_FIELD_KIND_I64: self = .integer(field.value.i64)
        case AMQP_FIELD_KIND_U64:
            guard let integer = Int64(exactly: field.value.u64) else { return nil }
            self = .integer(integer)
        default: return nil
        }
    }
}

private func validText(_ bytes: amqp_bytes_t) -> String? {
    String(validating: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
}
