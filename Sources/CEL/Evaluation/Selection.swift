/// `operand.field`.
final class SelectOperation: Operation, @unchecked Sendable {
    let operand: Operation
    let field: String
    let hash: UInt64
    /// The variable that is selected from, -1 when it is something else.
    let local: Int
    private let isOfRecord: Bool

    init(_ operand: Operation, field: String, isOfRecord: Bool = false, span: Span) {
        self.operand = operand
        self.field = field
        self.isOfRecord = isOfRecord || operand.isInRecord
        hash = field.withBytes { Bytes.hash($0) }
        local = (operand as? LocalOperation)?.index ?? -1
        super.init(span: span)
    }

    override var isInRecord: Bool { isOfRecord }
    override var isScalar: Bool { local >= 0 }
    override var operands: [Operation] { [operand] }

    override func scalar(_ frame: inout Frame) -> Slot {
        guard local >= 0, let map = frame.locals[local].map else { return .boxless }
        // The map is the value that the variable points to, which outlives this call.
        return map._withUnsafeGuaranteedRef { map in map.position(of: field, hash: hash).map { map.slot($0) } ?? .error }
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        if local >= 0, let map = frame.locals[local].map {
            let found: Value? = map._withUnsafeGuaranteedRef { map in map.position(of: field, hash: hash).map { map.value($0) } }
            if let found { return found }
        }
        return try selected(from: try operand.value(&frame))
    }

    private func selected(from container: Value) throws(Fault) -> Value {
        switch container {
        case .map(let map):
            guard let position = map.storage.position(of: field, hash: hash) else {
                throw isOfRecord ? Fault(.missingName, span, "it has no '\(field)'") : Fault(.noSuchKey, span, "no such key: \(field)")
            }
            return map.storage.value(position)
        case .optional(let optional):
            guard let wrapped = optional.wrapped else { return .optional(.none) }
            return try field(ofOptional: wrapped)
        default:
            throw Fault(noOverload: ".\(field)", [container.kind], span)
        }
    }

    private func field(ofOptional wrapped: Value) throws(Fault) -> Value {
        guard case .map(let map) = wrapped else { throw Fault(noOverload: ".\(field)", [wrapped.kind], span) }
        return .optional(map.storage.position(of: field, hash: hash).map { OptionalValue(map.storage.value($0)) } ?? .none)
    }
}

/// `operand.?field` and `operand[?key]`.
final class OptionalSelectOperation: Operation, @unchecked Sendable {
    let operand: Operation, key: Operation
    let isField: Bool

    init(_ operand: Operation, key: Operation, isField: Bool, span: Span) {
        self.operand = operand
        self.key = key
        self.isField = isField
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var container = try operand.value(&frame)
        let key = try key.value(&frame)
        try frame.chargeKey(key, span)
        if case .optional(let optional) = container {
            guard let wrapped = optional.wrapped else { return container }
            container = wrapped
        }
        if isField, container.kind != .map { throw Fault(noOverload: ".?", [container.kind], span) }
        return .optional(try container.element(at: key, span).map { OptionalValue($0) } ?? .none)
    }

    override var operands: [Operation] { [operand, key] }
}

/// `operand[key]`.
final class IndexOperation: Operation, @unchecked Sendable {
    let operand: Operation, key: Operation

    init(_ operand: Operation, _ key: Operation, span: Span) {
        self.operand = operand
        self.key = key
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let (container, key) = try bothValues(operand, key, &frame)
        try frame.chargeKey(key, span)
        if case .optional(let optional) = container {
            guard let wrapped = optional.wrapped else { return container }
            return .optional(try wrapped.element(at: key, span).map { OptionalValue($0) } ?? .none)
        }
        guard let element = try container.element(at: key, span) else {
            if isInRecord { throw Fault(.missingName, span, "it has no such element") }
            if case .list(let elements) = container {
                throw Fault(.indexOutOfRange, span, "index out of range: the list has \(elements.count) elements")
            }
            throw Fault(.noSuchKey, span, "no such key")
        }
        return element
    }

    override var isInRecord: Bool { operand.isInRecord }
    override var operands: [Operation] { [operand, key] }
}

extension Value {
    /// The element of a list or map; nil where there is none.
    func element(at key: Value, _ span: Span) throws(Fault) -> Value? {
        switch self {
        case .map(let map):
            guard let normal = MapKey(lookingUp: key) else { return nil }
            return map.storage.position(of: normal).map { map.storage.value($0) }
        case .list(let elements):
            let index: Int?
            switch key {
            case .int(let number): index = Int(exactly: number)
            case .uint(let number): index = Int(exactly: number)
            case .double(let number):
                guard let whole = Int(exactly: number) else { throw Fault(.badArgument, span, "an index must be a whole number") }
                index = whole
            default: throw Fault(noOverload: "[]", kind, key.kind, span)
            }
            guard let index, elements.indices.contains(index) else { return nil }
            return elements[index]
        default:
            throw Fault(noOverload: "[]", kind, key.kind, span)
        }
    }
}

/// `has(operand.field)`.
final class HasOperation: Operation, @unchecked Sendable {
    let operand: Operation
    let field: String
    let hash: UInt64

    init(_ operand: Operation, field: String, span: Span) {
        self.operand = operand
        self.field = field
        hash = field.withBytes { Bytes.hash($0) }
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var container: Value
        do throws(Fault) {
            container = try operand.value(&frame)
        } catch {
            if operand.isInRecord, error.code == .missingName { return .bool(false) }
            throw error
        }
        if case .optional(let optional) = container {
            guard let wrapped = optional.wrapped else { return .bool(false) }
            container = wrapped
        }
        guard case .map(let map) = container else { throw Fault(noOverload: "has", [container.kind], span) }
        return .bool(map.storage.position(of: field, hash: hash) != nil)
    }

    override var operands: [Operation] { [operand] }
}

/// `[a, ?b, …]`.
final class ListOperation: Operation, @unchecked Sendable {
    let elements: [(operation: Operation, isOptional: Bool)]

    init(_ elements: [(operation: Operation, isOptional: Bool)], span: Span) {
        self.elements = elements
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        try frame.allocate(listBytes(elements.count), span)
        var result: [Value] = []
        result.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            let value: Value
            do throws(Fault) {
                value = try element.operation.value(&frame)
            } catch {
                if error.code == .missingName {
                    for other in elements[(index + 1)...] { try other.operation.throwRealError(&frame) }
                }
                throw error
            }
            guard element.isOptional else {
                result.append(value)
                continue
            }
            guard case .optional(let optional) = value else { throw Fault(noOverload: "?element", [value.kind], element.operation.span) }
            if let wrapped = optional.wrapped { result.append(wrapped) }
        }
        return .list(result)
    }

    override var operands: [Operation] { elements.map(\.operation) }
}

/// `{key: value, ?key: optional, …}`.
final class MapOperation: Operation, @unchecked Sendable {
    let entries: [(key: Operation, value: Operation, isOptional: Bool)]

    init(_ entries: [(key: Operation, value: Operation, isOptional: Bool)], span: Span) {
        self.entries = entries
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        try frame.allocate(mapBytes(entries.count), span)
        var builder = CELMap.Builder(capacity: entries.count)
        for entry in entries {
            let key = try entry.key.value(&frame)
            try frame.chargeKey(key, span)
            var value = try entry.value.value(&frame)
            if entry.isOptional {
                guard case .optional(let optional) = value else { throw Fault(noOverload: "?entry", [value.kind], entry.value.span) }
                guard MapKey(key) != nil else { throw Fault(.badKey, entry.key.span, "a \(key.kind.name) cannot be a key") }
                guard let wrapped = optional.wrapped else { continue }
                value = wrapped
            }
            try builder.put(key, value, entry.key.span)
        }
        return .map(builder.build())
    }

    override var operands: [Operation] { entries.flatMap { [$0.key, $0.value] } }
}

extension CELMap.Builder {
    mutating func put(_ key: Value, _ value: Value, _ span: Span) throws(Fault) {
        switch insert(key, value) {
        case .inserted: return
        case .repeated: throw Fault(.repeatedKey, span, "a key is there twice")
        case .notAKey: throw Fault(.badKey, span, "a \(key.kind.name) cannot be a key")
        }
    }
}
