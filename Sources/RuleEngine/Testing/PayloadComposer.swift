/// Writes the payloads of a series of readings, one after the other, into one buffer.
struct PayloadComposer {
    /// A double that JSON cannot say: it stands as `null` in the payload and is put into the decoded fields.
    struct NonFinite {
        var path: [FieldPath.Element]
        var number: Double
    }

    private struct Leaf {
        enum Content {
            case series(TestSeriesCursor)
            /// JSON text.
            case constant([UInt8])
        }
        /// Members that are open before it: how many of the leaf's parents the leaf before shares is worked out when both are written.
        var path: [String]
        var content: Content
        /// The last of `path` as JSON, with its colon.
        let name: [UInt8]

        init(path: [String], content: Content) {
            self.path = path
            self.content = content
            name = Array((Document.string(path.last ?? "").json + ":").utf8)
        }
    }

    private var leaves: [Leaf]
    /// No member has a sample of its own: the reading is there all the same.
    private var hasOnlyConstants = false
    private var isSame = false
    private(set) var bytes: [UInt8] = []
    private(set) var nonFinite: [NonFinite] = []
    private let fixed: Bool
    /// `value` alone is sent as a bare scalar, as sensors with a topic for each number do: rules see the same, and `value_as` has its effect.
    private let isBare: Bool

    init(_ content: TestReadings.Content) {
        leaves = []
        switch content {
        case .payload(let payload):
            bytes = payload
            fixed = true
            isBare = false
        case .fields(let fields):
            fixed = false
            if fields.count == 1, fields[0].name == "value", case .series = fields[0].content { isBare = true } else { isBare = false }
            for field in fields { collect(field, []) }
            hasOnlyConstants = !leaves.contains { if case .series = $0.content { true } else { false } }
        }
    }

    private mutating func collect(_ field: TestField, _ path: [String]) {
        switch field.content {
        case .series(let series): leaves.append(Leaf(path: path + [field.name], content: .series(TestSeriesCursor(series))))
        case .constant(let document): leaves.append(Leaf(path: path + [field.name], content: .constant(Array(document.json.utf8))))
        case .members(let members): for member in members { collect(member, path + [field.name]) }
        }
    }

    /// Writes the payload at hand; false when there is no reading, since no member has a sample.
    mutating func compose() -> Bool {
        if fixed || isSame { return !bytes.isEmpty || fixed }
        bytes.removeAll(keepingCapacity: true)
        nonFinite.removeAll(keepingCapacity: true)
        if isBare { return composeBare() }
        var open: [String] = []
        var isFirst = true
        var hasSample = leaves.isEmpty
        bytes.append(UInt8(ascii: "{"))
        for place in leaves.indices {
            if case .series(let cursor) = leaves[place].content {
                guard cursor.sample != .none else { continue }
                hasSample = true
            } else if hasOnlyConstants {
                hasSample = true
            }
            openParents(of: leaves[place].path, &open, &isFirst)
            write(leaves[place])
            isFirst = false
        }
        for _ in 0...open.count { bytes.append(UInt8(ascii: "}")) }
        if !hasSample { bytes.removeAll(keepingCapacity: true) }
        return hasSample
    }

    private mutating func composeBare() -> Bool {
        guard case .series(let cursor) = leaves[0].content, cursor.sample != .none else { return false }
        writeValue(leaves[0])
        return true
    }

    mutating func advance() {
        guard !fixed else { return }
        isSame = true
        for place in leaves.indices {
            guard case .series(var cursor) = leaves[place].content else { continue }
            cursor.advance()
            if cursor.isNew { isSame = false }
            leaves[place].content = .series(cursor)
        }
    }

    private mutating func openParents(of path: [String], _ open: inout [String], _ isFirst: inout Bool) {
        if path.count == 1, open.isEmpty {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            return
        }
        let parents = path.dropLast()
        let shared = zip(open, parents).prefix { $0 == $1 }.count
        while open.count > shared {
            bytes.append(UInt8(ascii: "}"))
            open.removeLast()
            isFirst = false
        }
        for name in parents.dropFirst(shared) {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: Document.string(name).json.utf8)
            bytes.append(UInt8(ascii: ":"))
            bytes.append(UInt8(ascii: "{"))
            open.append(name)
            isFirst = true
        }
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func write(_ leaf: Leaf) {
        bytes.append(contentsOf: leaf.name)
        writeValue(leaf)
    }

    private mutating func writeValue(_ leaf: Leaf) {
        switch leaf.content {
        case .constant(let text): bytes.append(contentsOf: text)
        case .series(let cursor):
            switch cursor.sample {
            case .none, .null: bytes.append(contentsOf: "null".utf8)
            case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
            case .text(let text): bytes.append(contentsOf: Document.string(text).json.utf8)
            case .number(let number):
                guard number.isFinite else {
                    bytes.append(contentsOf: "null".utf8)
                    nonFinite.append(NonFinite(path: leaf.path.map(FieldPath.Element.name), number: number))
                    return
                }
                if let whole = Int64(exactly: number), abs(whole) < 1 << 53 {
                    bytes.append(contentsOf: String(whole).utf8)
                } else {
                    bytes.append(contentsOf: number.description.utf8)
                }
            }
        }
    }
}
