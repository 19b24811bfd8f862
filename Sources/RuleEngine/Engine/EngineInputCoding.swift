/// Inputs as a journal holds them: a number for the kind, then its content. Rules are a name; who reads them back finds the plan.
extension EngineInput {
    public enum Decoded: Sendable {
        case input(EngineInput)
        /// The name of rules that the journal keeps.
        case rules(String)
    }

    public func encode(into bytes: inout [UInt8]) {
        bytes.append(kind)
        switch self {
        case .start, .connected, .backlogEnded, .disconnected, .time: break
        case .readings(let batch): batch.encode(into: &bytes)
        case .rules(_, let name): Self.write(&bytes) { $0.write(name) }
        case .device(let id, let config, let labels, let location):
            Self.write(&bytes) { writer in
                writer.write(id)
                writer.write(config != nil)
                if let config { writer.write(config) }
                writer.write(labels)
                writer.write(location)
            }
        case .variable(let name, let value):
            Self.write(&bytes) { writer in
                writer.write(name)
                writer.write(value != nil)
                if let value { writer.write(value) }
            }
        case .clockJump(let nanoseconds): Self.write(&bytes) { $0.write(nanoseconds) }
        case .rows(let outcome): Self.write(&bytes) { $0.write(outcome) }
        case .bounds(let bounds): Self.write(&bytes) { $0.write(bounds) }
        case .raise(let alert): Self.write(&bytes) { $0.write(alert) }
        case .resolve(let selection):
            Self.write(&bytes) { writer in
                writer.write(selection.automation)
                writer.write(optional: selection.alertname)
                writer.write(selection.labels)
            }
        case .automations(let names):
            Self.write(&bytes) { writer in
                writer.write(names.count)
                for name in names { writer.write(name) }
            }
        }
    }

    private static func write(_ bytes: inout [UInt8], _ body: (inout SnapshotWriter) -> Void) {
        var writer = SnapshotWriter()
        body(&writer)
        bytes += writer.take()
    }

    /// Nil when the bytes are damaged, or of a kind that this build does not know.
    public static func decode(_ bytes: UnsafeRawBufferPointer) -> Decoded? {
        guard let kind = bytes.first else { return nil }
        let content = UnsafeRawBufferPointer(rebasing: bytes[1...])
        if kind == 5 { return MessageBatch(decoding: content).map { .input(.readings($0)) } }
        var reader = SnapshotReader(content)
        let decoded = decode(kind, &reader)
        return reader.isAtEnd ? decoded : nil
    }

    private static func decode(_ kind: UInt8, _ reader: inout SnapshotReader) -> Decoded? {
        switch kind {
        case 1: return .input(.start)
        case 2: return .input(.connected)
        case 3: return .input(.backlogEnded)
        case 4: return .input(.time)
        case 15: return .input(.disconnected)
        case 6: return reader.readText().map { .rules($0) }
        case 7:
            guard let id = reader.readText(), let exists = reader.readBool() else { return nil }
            let config = exists ? reader.readDocument() : nil
            guard exists == (config != nil), let labels = reader.readTexts(), case .some(let location) = reader.readPlace() else {
                return nil
            }
            return .input(.device(id: id, config: config, labels: labels, location: location))
        case 8:
            guard let name = reader.readText(), let exists = reader.readBool() else { return nil }
            let value = exists ? reader.readDocument() : nil
            return exists == (value != nil) ? .input(.variable(name: name, value)) : nil
        case 9: return reader.readInt64().map { .input(.clockJump(nanoseconds: $0)) }
        case 10: return reader.readOutcome().map { .input(.rows($0)) }
        case 11: return reader.readBounds().map { .input(.bounds($0)) }
        case 12: return reader.readScriptAlert().map { .input(.raise($0)) }
        case 13:
            guard let automation = reader.readText(), case .some(let alertname) = reader.readOptionalText(), let labels = reader.readTexts()
            else { return nil }
            return .input(.resolve(ScriptAlertSelection(automation: automation, alertname: alertname, labels: labels)))
        case 14:
            guard let count = reader.readCount() else { return nil }
            var names: [String] = []
            for _ in 0..<count {
                guard let name = reader.readText() else { return nil }
                names.append(name)
            }
            return .input(.automations(names))
        default: return nil
        }
    }
}

extension SnapshotWriter {
    fileprivate mutating func write(optional text: String?) {
        write(text != nil)
        if let text { write(text) }
    }

    fileprivate mutating func write(_ alert: ScriptAlert) {
        write(alert.automation)
        write(alert.alertname)
        write(alert.labels)
        write(alert.annotations)
        write(optional: alert.severity)
        write(alert.value)
    }
}

extension SnapshotReader {
    /// The outer nil: damaged.
    fileprivate mutating func readOptionalText() -> String?? {
        guard let exists = readBool() else { return nil }
        guard exists else { return .some(nil) }
        return readText().map { .some($0) }
    }

    fileprivate mutating func readScriptAlert() -> ScriptAlert? {
        guard let automation = readText(), let alertname = readText(), let labels = readTexts(), let annotations = readTexts(),
            case .some(let severity) = readOptionalText(), let value = readDocument()
        else { return nil }
        return ScriptAlert(
            automation: automation, alertname: alertname, labels: labels, annotations: annotations, severity: severity, value: value)
    }
}

extension MessageBatch {
    /// Bytes of an entry before the texts: two lengths, packet id, QoS, flags.
    private static let entrySize = 10

    /// Count, entries, then topics and payloads one behind the other.
    fileprivate func encode(into target: inout [UInt8]) {
        let start = target.count
        target.reserveCapacity(start + 4 + entries.count * Self.entrySize + bytes.count)
        Self.append(UInt32(truncatingIfNeeded: entries.count), to: &target)
        for entry in entries {
            Self.append(UInt16(truncatingIfNeeded: entry.topicLength), to: &target)
            Self.append(UInt32(truncatingIfNeeded: entry.payloadLength), to: &target)
            Self.append(entry.packetID, to: &target)
            target.append(entry.qos)
            target.append(entry.flags.rawValue)
        }
        target.append(contentsOf: bytes)
    }

    private static func append<Number: FixedWidthInteger>(_ number: Number, to target: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { target.append(contentsOf: $0) }
    }

    fileprivate init?(decoding content: UnsafeRawBufferPointer) {
        self.init()
        guard content.count >= 4 else { return nil }
        let count = Int(UInt32(littleEndian: content.loadUnaligned(as: UInt32.self)))
        guard count <= (content.count - 4) / Self.entrySize else { return nil }
        var text = 4 + count * Self.entrySize
        for place in 0..<count {
            let at = 4 + place * Self.entrySize
            let topicLength = Int(UInt16(littleEndian: content.loadUnaligned(fromByteOffset: at, as: UInt16.self)))
            let payloadLength = Int(UInt32(littleEndian: content.loadUnaligned(fromByteOffset: at + 2, as: UInt32.self)))
            guard topicLength + payloadLength <= content.count - text else { return nil }
            append(
                topic: UnsafeRawBufferPointer(rebasing: content[text..<text + topicLength]),
                payload: UnsafeRawBufferPointer(rebasing: content[text + topicLength..<text + topicLength + payloadLength]),
                packetID: UInt16(littleEndian: content.loadUnaligned(fromByteOffset: at + 6, as: UInt16.self)),
                qos: content[at + 8], flags: Flags(rawValue: content[at + 9]))
            text += topicLength + payloadLength
        }
        guard text == content.count else { return nil }
    }
}
