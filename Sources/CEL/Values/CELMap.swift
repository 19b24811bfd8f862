/// A map: keys are bools, ints, uints and strings; the order of insertion is kept. Keys are found across number types
/// (`1`, `1u` and `1.0` are one key) and strings by their bytes.
public struct CELMap: Sendable {
    let storage: Storage

    /// Entries and, from nine of them on, an open-addressed table. Immutable once built.
    final class Storage: Sendable {
        let entries: ContiguousArray<Entry>
        /// Positions in `entries`, -1 where empty; its length is a power of two at least twice the number of entries. Empty for small maps.
        let table: ContiguousArray<Int32>

        init(entries: ContiguousArray<Entry>, table: ContiguousArray<Int32>) {
            self.entries = entries
            self.table = table
        }
    }

    struct Entry: Sendable {
        var hash: UInt64
        var key: Value
        var value: Value
    }

    private static let emptyStorage = Storage(entries: [], table: [])

    public init() { storage = CELMap.emptyStorage }

    init(storage: Storage) { self.storage = storage }

    /// Builds a map; nil when a key is of a kind that cannot be one, or is there twice.
    public init?(_ pairs: [(key: Value, value: Value)]) {
        var builder = Builder(capacity: pairs.count)
        for pair in pairs {
            guard builder.insert(pair.key, pair.value) == .inserted else { return nil }
        }
        self = builder.build()
    }

    public var count: Int { storage.entries.count }

    public var keys: [Value] { storage.entries.map(\.key) }

    /// All entries in the order in which they were put in.
    public var pairs: [(key: Value, value: Value)] { storage.entries.map { ($0.key, $0.value) } }

    public subscript(key: String) -> Value? {
        let hash = key.withBytes { Bytes.hash($0) }
        guard let position = storage.position(of: key, hash: hash) else { return nil }
        return storage.entries[position].value
    }

    /// The value under any key, compared as CEL compares keys; nil too for values that can be no keys.
    public subscript(key: Value) -> Value? {
        guard let normal = MapKey(key), let position = storage.position(of: normal) else { return nil }
        return storage.entries[position].value
    }

    /// Puts entries together; a later entry under an equal key is refused or replaces, as the caller asks.
    struct Builder {
        enum Insertion { case inserted, repeated, notAKey }

        private var entries: ContiguousArray<Entry> = []
        private var table: ContiguousArray<Int32> = []

        init(capacity: Int) { entries.reserveCapacity(capacity) }

        var count: Int { entries.count }

        mutating func insert(_ key: Value, _ value: Value, replacing: Bool = false) -> Insertion {
            guard let normal = MapKey(key) else { return .notAKey }
            let hash = normal.hash
            if let position = Storage.position(of: normal, hash: hash, entries: entries, table: table) {
                if replacing { entries[position].value = value }
                return .repeated
            }
            entries.append(Entry(hash: hash, key: key, value: value))
            if entries.count > 8 {
                if entries.count * 2 > table.count { grow() } else { place(entries.count - 1) }
            }
            return .inserted
        }

        private mutating func grow() {
            table = ContiguousArray(repeating: -1, count: max(32, table.count * 2))
            for position in entries.indices { place(position) }
        }

        private mutating func place(_ position: Int) {
            var index = Int(truncatingIfNeeded: entries[position].hash) & (table.count - 1)
            while table[index] >= 0 { index = (index + 1) & (table.count - 1) }
            table[index] = Int32(truncatingIfNeeded: position)
        }

        func build() -> CELMap {
            entries.isEmpty ? CELMap() : CELMap(storage: Storage(entries: entries, table: table))
        }
    }
}

/// A key as it is compared: all numbers on one line.
enum MapKey {
    case bool(Bool)
    case int(Int64)
    /// Above `Int64.max`.
    case large(UInt64)
    case string(String)

    init?(_ value: Value) {
        switch value {
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .uint(let number): self = Int64(exactly: number).map { .int($0) } ?? .large(number)
        case .string(let text): self = .string(text)
        default: return nil
        }
    }

    /// For look-up: a whole double counts as the number it is.
    init?(lookingUp value: Value) {
        guard case .double(let number) = value else {
            self.init(value)
            return
        }
        if let whole = Int64(exactly: number) {
            self = .int(whole)
        } else if let whole = UInt64(exactly: number) {
            self = .large(whole)
        } else {
            return nil
        }
    }

    var hash: UInt64 {
        switch self {
        case .bool(let flag): Bytes.hash(flag ? 0x5EED : 0xFEED)
        case .int(let number): Bytes.hash(UInt64(bitPattern: number))
        case .large(let number): Bytes.hash(number)
        case .string(let text): text.withBytes { Bytes.hash($0) }
        }
    }

    func matches(_ stored: Value) -> Bool {
        switch (self, stored) {
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.int(let a), .uint(let b)): Int64(exactly: b) == a
        case (.large(let a), .uint(let b)): a == b
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        default: false
        }
    }
}

extension CELMap.Storage {
    func position(of key: MapKey) -> Int? {
        CELMap.Storage.position(of: key, hash: key.hash, entries: entries, table: table)
    }

    static func position(
        of key: MapKey, hash: UInt64, entries: ContiguousArray<CELMap.Entry>, table: ContiguousArray<Int32>
    ) -> Int? {
        if table.isEmpty {
            for position in entries.indices where entries[position].hash == hash && key.matches(entries[position].key) { return position }
            return nil
        }
        var index = Int(truncatingIfNeeded: hash) & (table.count - 1)
        while table[index] >= 0 {
            let position = Int(table[index])
            if entries[position].hash == hash, key.matches(entries[position].key) { return position }
            index = (index + 1) & (table.count - 1)
        }
        return nil
    }

    /// The hot look-up: a string key whose hash was computed when the expression was compiled.
    @inline(__always)
    func position(of key: String, hash: UInt64) -> Int? {
        if table.isEmpty {
            var position = 0
            while position < entries.count {
                if entries[position].hash == hash, case .string(let stored) = entries[position].key, stored.hasSameBytes(as: key) {
                    return position
                }
                position &+= 1
            }
            return nil
        }
        return CELMap.Storage.position(of: .string(key), hash: hash, entries: entries, table: table)
    }
}
