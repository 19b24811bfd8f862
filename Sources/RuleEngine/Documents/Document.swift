/// A structured value as stores, the API and configuration documents hold it. Members keep their order; names are unique.
public indirect enum Document: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case instant(Instant)
    case array([Document])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public var name: String
        public var value: Document
        public init(_ name: String, _ value: Document) {
            self.name = name
            self.value = value
        }
    }

    public static let emptyObject = Document.object([])

    /// The value of a member; nil when there is none or this is no object.
    public subscript(name: String) -> Document? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [Document]? { if case .array(let value) = self { value } else { nil } }
    public var members: [Member]? { if case .object(let value) = self { value } else { nil } }
    public var instant: Instant? {
        switch self {
        case .instant(let value): value
        case .string(let text): Instant(rfc3339: text)
        default: nil
        }
    }
    /// Whole numbers, also those that came as a double.
    public var int: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): Int64(exactly: value)
        default: nil
        }
    }
    public var number: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
}

extension Document: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(arrayLiteral elements: Document...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, Document)...) { self = .object(elements.map { Member($0.0, $0.1) }) }
}

extension Document {
    public init(_ value: String?) { self = value.map(Document.string) ?? .null }
    public init(_ value: Instant?) { self = value.map(Document.instant) ?? .null }
    /// Members in the order of their names' bytes, so that equal dictionaries give equal documents.
    public init(_ strings: [String: String]) {
        self = .object(strings.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { Member($0.key, .string($0.value)) })
    }
    /// The members that are strings.
    public var strings: [String: String] {
        var found: [String: String] = [:]
        for member in members ?? [] { if case .string(let text) = member.value { found[member.name] = text } }
        return found
    }

    /// JSON merge patch (RFC 7396): members of `patch` replace, null removes, objects merge.
    public func merging(patch: Document) -> Document {
        guard case .object(let changes) = patch else { return patch }
        var members = self.members ?? []
        for change in changes {
            let index = members.firstIndex { $0.name == change.name }
            if change.value == .null {
                if let index { members.remove(at: index) }
            } else if let index {
                members[index].value = members[index].value.merging(patch: change.value)
            } else {
                members.append(Member(change.name, Document.null.merging(patch: change.value)))
            }
        }
        return .object(members)
    }

    /// `self` as defaults under `other`: objects merge member by member, anything else of `other` wins.
    public func overlaid(by other: Document) -> Document {
        guard case .object(let own) = self, case .object(let upper) = other else { return other }
        var members = own
        for member in upper {
            if let index = members.firstIndex(where: { $0.name == member.name }) {
                members[index].value = members[index].value.overlaid(by: member.value)
            } else {
                members.append(member)
            }
        }
        return .object(members)
    }
}
