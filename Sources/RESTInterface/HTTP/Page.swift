import RuleEngine

/// The place of an item in its list, which is what a cursor holds: it stays right whatever is added or removed before or behind it.
protocol ListPosition: Comparable, Sendable {
    var parts: [Document] { get }
    init?(parts: [Document])
}

/// The place of an item in a list that is ordered by names (their bytes).
struct NamePosition: ListPosition {
    var names: [String]
    init(_ names: String...) { self.names = names }

    static func < (left: NamePosition, right: NamePosition) -> Bool {
        for (one, other) in zip(left.names, right.names) where !one.utf8.elementsEqual(other.utf8) {
            return one.utf8.lexicographicallyPrecedes(other.utf8)
        }
        return left.names.count < right.names.count
    }

    var parts: [Document] { names.map(Document.string) }
    init?(parts: [Document]) {
        names = parts.compactMap(\.string)
        guard names.count == parts.count else { return nil }
    }
}

/// Which part of a list is asked for.
struct PageRequest<Position: ListPosition>: Sendable {
    static var defaultLimit: Int { 1000 }
    static var maximumLimit: Int { 10_000 }

    var list: String
    var after: Position?
    var limit: Int

    /// Reads `limit` (1 … 10000, more is 10000) and `cursor`, which must come from the same list.
    init(of list: String, _ query: Query) throws(Problem) {
        self.list = list
        limit = Self.defaultLimit
        if let text = try query.value(of: "limit") {
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), text.utf8.contains(where: { $0 != 48 }) else {
                throw .invalid("'limit' must be a whole number from 1, not '\(text.prefix(100))'")
            }
            // Digits too many for an Int are more than the maximum, too.
            limit = min(Int(text) ?? Self.maximumLimit, Self.maximumLimit)
        }
        if let cursor = try query.value(of: "cursor") {
            guard let bytes = Hex.bytes(cursor), let parts = (try? Document(json: bytes))?.array, parts.first?.string == list,
                let position = Position(parts: Array(parts.dropFirst()))
            else { throw .invalid("'cursor' is none that this list has given") }
            after = position
        }
    }

    /// The page of `items` as `{"items":[…],"next":…}`, in the order of their positions.
    func document<Item>(of items: [Item], at position: (Item) -> Position, as document: (Item) -> Document) -> Document {
        // A list may have a million items of which a page shows a thousand: what cannot be on the page is dropped as it goes along, instead of sorting all.
        var rest: [(position: Position, item: Item)] = []
        var bound: Position?
        for item in items {
            let place = position(item)
            if let after, place <= after { continue }
            if let bound, place >= bound { continue }
            rest.append((place, item))
            guard rest.count >= 4 * (limit + 1) else { continue }
            rest.sort { $0.position < $1.position }
            rest.removeLast(rest.count - (limit + 1))
            bound = rest.last?.position
        }
        rest.sort { $0.position < $1.position }
        let page = rest.prefix(limit)
        let next = rest.count > limit ? page.last.map { cursor(behind: $0.position) } : nil
        return ["items": .array(page.map { document($0.item) }), "next": Document(next)]
    }

    private func cursor(behind position: Position) -> String { Hex.text(Document.array([.string(list)] + position.parts).json.utf8) }
}
