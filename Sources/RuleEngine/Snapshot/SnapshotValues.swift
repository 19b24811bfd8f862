import CEL

/// Texts, documents and values of expressions as bytes of a snapshot.
extension SnapshotWriter {
    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            write(utf8.count)
            append(UnsafeRawBufferPointer(utf8))
        }
    }

    mutating func write(_ texts: [String: String]) {
        write(texts.count)
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) {
            write(name)
            write(text)
        }
    }

    /// A document that is too large or too deep to be stored was never taken in; null stands for it.
    mutating func write(_ document: Document) {
        write(bytes: (try? DocumentEncoding.encode(document)) ?? [DocumentEncoding.form, 0])
    }

    mutating func write(_ place: GeoPoint?) {
        write(place != nil)
        if let place {
            write(place.latitude)
            write(place.longitude)
        }
    }

    mutating func write(_ bounds: EngineBounds) {
        write(bounds.maximumInstances)
        write(bounds.forgetAfter.inNanoseconds)
        write(bounds.allowedLateness.inNanoseconds)
    }

    mutating func write(_ slot: Slot, _ strings: InternedStrings) {
        switch slot.kind {
        case .double:
            write(byte: ValueTag.double.rawValue)
            write(slot.bits)
        default: write(slot.value(in: strings))
        }
    }

    /// Nil is what is not there. A value that no reading can hold (a type, an optional) is written as not there.
    mutating func write(_ value: Value?) {
        switch value {
        case .null?: write(byte: ValueTag.null.rawValue)
        case .bool(let truth)?: write(byte: (truth ? ValueTag.yes : .no).rawValue)
        case .int(let number)?: write(.int, UInt64(bitPattern: number))
        case .uint(let number)?: write(.uint, number)
        case .double(let number)?: write(.double, number.bitPattern)
        case .duration(let nanoseconds)?: write(.duration, UInt64(bitPattern: nanoseconds))
        case .timestamp(let timestamp)?:
            write(.timestamp, UInt64(bitPattern: timestamp.seconds))
            write(Int64(timestamp.nanoseconds))
        case .string(let text)?:
            write(byte: ValueTag.string.rawValue)
            write(text)
        case .bytes(let content)?:
            write(byte: ValueTag.bytes.rawValue)
            write(bytes: content)
        case .list(let elements)?:
            write(.list, UInt64(elements.count))
            for element in elements { write(element) }
        case .map(let map)?:
            write(.map, UInt64(map.count))
            for place in 0..<map.count {
                write(map.entry(place).key)
                write(map.entry(place).value)
            }
        case .type?, .optional?, .opaque?, nil: write(byte: ValueTag.missing.rawValue)
        }
    }

    private mutating func write(_ tag: ValueTag, _ bits: UInt64) {
        write(byte: tag.rawValue)
        write(bits)
    }
}

private enum ValueTag: UInt8 {
    case missing, null, no, yes, int, uint, double, string, bytes, list, map, timestamp, duration
}

extension SnapshotReader {
    /// Deeper than any payload may be nested.
    private static let maximumDepth = 200

    mutating func readText() -> String? { readBytes().flatMap { String(validating: $0, as: UTF8.self) } }

    mutating func readTexts() -> [String: String]? {
        guard let count = readCount(), count <= remaining else { return nil }
        var texts: [String: String] = [:]
        for _ in 0..<count {
            guard let name = readText(), let text = readText() else { return nil }
            texts[name] = text
        }
        return texts
    }

    mutating func readDocument() -> Document? {
        readBytes().flatMap { bytes in bytes.withUnsafeBytes { DocumentEncoding.decode($0) } }
    }

    /// The outer nil is damage, the inner one no place.
    mutating func readPlace() -> GeoPoint?? {
        guard let exists = readBool() else { return nil }
        guard exists else { return .some(nil) }
        guard let latitude = readDouble(), let longitude = readDouble(), let place = GeoPoint(latitude: latitude, longitude: longitude)
        else { return nil }
        return .some(place)
    }

    mutating func readBounds() -> EngineBounds? {
        guard let instances = readCount(), let forgetAfter = readInt64(), let lateness = readInt64(), forgetAfter >= 0, lateness >= 0
        else { return nil }
        var bounds = EngineBounds()
        bounds.maximumInstances = instances
        (bounds.forgetAfter, bounds.allowedLateness) = (.nanoseconds(forgetAfter), .nanoseconds(lateness))
        return bounds
    }

    /// The outer nil is damage, the inner one a value that is not there.
    mutating func readValue(depth: Int = 0) -> Value?? {
        guard depth <= Self.maximumDepth, let tag = readByte().flatMap(ValueTag.init(rawValue:)) else { return nil }
        switch tag {
        case .missing: return .some(nil)
        case .null: return .null
        case .no: return .bool(false)
        case .yes: return .bool(true)
        case .int: return readInt64().map { .int($0) }
        case .uint: return readUInt64().map { .uint($0) }
        case .double: return readDouble().map { .double($0) }
        case .duration: return readInt64().map { .duration(nanoseconds: $0) }
        case .string: return readText().map { .string($0) }
        case .bytes: return readBytes().map { .bytes($0) }
        case .timestamp:
            guard let seconds = readInt64(), let nanoseconds = readInt64().flatMap(Int32.init(exactly:)),
                let timestamp = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
            else { return nil }
            return .timestamp(timestamp)
        case .list:
            guard let count = readCount(), count <= remaining else { return nil }
            var elements: [Value] = []
            for _ in 0..<count {
                guard case .some(.some(let element)) = readValue(depth: depth + 1) else { return nil }
                elements.append(element)
            }
            return .list(elements)
        case .map:
            guard let count = readCount(), count <= remaining else { return nil }
            var pairs: [(key: Value, value: Value)] = []
            for _ in 0..<count {
                guard case .some(.some(let key)) = readValue(depth: depth + 1),
                    case .some(.some(let value)) = readValue(depth: depth + 1)
                else { return nil }
                pairs.append((key, value))
            }
            return CELMap(pairs).map { .map($0) }
        }
    }
}
