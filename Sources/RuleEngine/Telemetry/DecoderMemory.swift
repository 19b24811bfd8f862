/// What a decoder remembers of earlier messages: values by group (an edge node, a kind of attribute) and key. It is part of the engine's state, so that replayed
/// and restored decoders read messages as the one that was stopped.
///
/// A value type: a picture of the state holds it as it was while the decoder goes on.
public struct DecoderMemory: Sendable, Equatable {
    public private(set) var groups: [String: [String: Document]] = [:]
    /// Of keys and values, about.
    public private(set) var size = 0

    /// Nothing more is taken in beyond this: whoever sends births for ever does not fill the server.
    public static let maximumSize = 64 << 20
    private static let maximumValueSize = 4096
    /// What an entry takes besides its content.
    private static let overhead = 96

    public init() {}

    public var isEmpty: Bool { groups.isEmpty }

    public func value(of key: String, in group: String) -> Document? { groups[group]?[key] }

    /// Keeps a value, or with nil forgets it. False when it is too large or there is no room: then all is as before.
    public mutating func set(_ key: String, in group: String, to value: Document?) -> Bool {
        let freed = groups[group]?[key].map { Self.size(of: key, $0) } ?? 0
        guard let value else {
            size -= freed
            groups[group]?[key] = nil
            if groups[group]?.isEmpty == true { groups[group] = nil }
            return true
        }
        let needed = Self.size(of: key, value)
        guard needed <= Self.maximumValueSize + Self.overhead, size - freed + needed <= Self.maximumSize else { return false }
        size += needed - freed
        groups[group, default: [:]][key] = value
        return true
    }

    public mutating func clear(_ group: String) {
        for (key, value) in groups.removeValue(forKey: group) ?? [:] { size -= Self.size(of: key, value) }
    }

    private static func size(of key: String, _ value: Document) -> Int { key.utf8.count + value.json.utf8.count + overhead }
}

extension SnapshotWriter {
    mutating func write(_ memory: DecoderMemory) {
        write(memory.groups.count)
        for (group, entries) in memory.groups.sorted(by: { $0.key < $1.key }) {
            write(group)
            write(entries.count)
            for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
                write(key)
                write(value)
            }
        }
    }
}

extension SnapshotReader {
    mutating func readMemory() -> DecoderMemory? {
        guard let groups = readCount() else { return nil }
        var memory = DecoderMemory()
        for _ in 0..<groups {
            guard let group = readText(), let entries = readCount() else { return nil }
            for _ in 0..<entries {
                guard let key = readText(), let value = readDocument(), memory.set(key, in: group, to: value) else { return nil }
            }
        }
        return memory
    }
}
