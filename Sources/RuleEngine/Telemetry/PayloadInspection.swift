import CEL

/// A payload as people want to look at it: all of its fields, as rules would see them.
public enum PayloadInspection {
    public static func fields(of payload: [UInt8], decoder: TopicSubscription.Decoder) -> Result<Document, DecodeFailure> {
        switch decoder {
        case .bytes: return .success(["value": .string(payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())])
        case .text:
            guard let text = String(validating: payload, as: UTF8.self) else { return .failure(.utf8) }
            return .success(["value": .string(text)])
        case .named: return .failure(.decoder)
        case .automatic: return automatic(payload)
        }
    }

    /// What a plugin's decoder makes of a message: its fields and the time that it found; nil when it passes the message over.
    public static func fields(topic: String, payload: [UInt8], decoder: any TelemetryDecoder) throws(TelemetryDecoderFailure) -> (
        fields: Document, time: Instant?
    )? {
        let buffer = JSONBuffer()
        let decoded: Result<DecodedMessage, TelemetryDecoderFailure> = Array(topic.utf8).withUnsafeBytes { topic in
            payload.withUnsafeBytes { payload in
                do throws(TelemetryDecoderFailure) {
                    return .success(try decoder.decode(topic: topic, payload: payload, into: buffer))
                } catch { return .failure(error) }
            }
        }
        guard case .reading(let time) = try decoded.get() else { return nil }
        guard let document = try? Document(json: Array(buffer.bytes)) else {
            throw TelemetryDecoderFailure("the decoder's fields are not usable")
        }
        return (document, time)
    }

    /// When a reading with these fields was measured, for a subscription with `time_field`; nil: the field is not there, or is no stamp.
    public static func time(of fields: Document, at path: [String]) -> Instant? {
        let decoder = PayloadDecoder(paths: [FieldPath(origin: .payload, elements: path.map { .name($0) })], decoder: .automatic)
        return Array(fields.json.utf8).withUnsafeBytes { bytes in
            guard (try? decoder.decode(bytes)) != nil else { return nil }
            return EventTime.instant(decoder.row[0], in: bytes)
        }
    }

    private static func automatic(_ payload: [UInt8]) -> Result<Document, DecodeFailure> {
        guard !payload.isEmpty else { return .failure(.empty) }
        // The decoder of the engine decides what is JSON; a whole document is then read with its numbers as they were written.
        let whole = PayloadDecoder(paths: [FieldPath(origin: .payload)], decoder: .automatic)
        let failure = payload.withUnsafeBytes { bytes -> DecodeFailure? in
            do throws(DecodeFailure) {
                try whole.decode(bytes)
                return nil
            } catch {
                return error
            }
        }
        if let failure { return .failure(failure) }
        if let document = try? Document(json: payload) {
            if case .object = document { return .success(document) }
            return .success(["value": document])
        }
        return payload.withUnsafeBytes { bytes in
            var cursor = JSONCursor(bytes)
            if let value = try? DecodedValue.value(&cursor) {
                cursor.skipWhiteSpace()
                if cursor.isAtEnd { return .success(value.fields) }
            }
            return .success(["value": .string(String(decoding: payload, as: UTF8.self))])
        }
    }
}

extension CEL.Value {
    /// Members of an object; any other value is `value`.
    fileprivate var fields: Document {
        let document = Document(self)
        if case .object = document { return document }
        return ["value": document]
    }
}

extension DecodeFailure {
    /// In words.
    public var explanation: String {
        switch self {
        case .empty: "the payload is empty"
        case .syntax: "the payload begins like JSON and is none"
        case .utf8: "the payload is no UTF-8"
        case .depth: "the payload is nested too deeply"
        case .decoder: "the decoder cannot read the payload"
        }
    }
}

extension TopicFilter {
    /// The captures of a topic that it matches, in their order; nil when it does not match.
    public func captures(in topic: String) -> [(name: String, value: String)]? {
        matches(topic) ? Array(zip(captures, captured(from: topic))) : nil
    }
}
