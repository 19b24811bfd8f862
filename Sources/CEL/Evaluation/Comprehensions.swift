/// Where the variables of a comprehension live, and what one turn of its body is charged.
struct Loop: Sendable {
    var first: Int
    /// The second variable of two-variable comprehensions.
    var second: Int?
    /// Nodes of the body.
    var weight: Int
}

extension Operation {
    /// Calls `body` for each element of a list, or each key of a map, with the variables bound; `body` returns false to end the loop.
    /// With one variable a list binds elements and a map keys; with two, index and element, key and value.
    @inline(__always)
    fileprivate func forEach(
        _ range: Operation, _ loop: Loop, _ frame: inout Frame, _ body: (inout Frame) throws(Fault) -> Bool
    ) throws(Fault) {
        let collection = try range.value(&frame)
        switch collection {
        case .list(let elements):
            try elements.withUnsafeBufferPointer { (buffer) throws(Fault) in
                guard let base = buffer.baseAddress else { return }
                for index in 0..<buffer.count {
                    try frame.charge(loop.weight, span)
                    guard let second = loop.second else {
                        frame.locals[loop.first] = Local(base + index)
                        if try !body(&frame) { break }
                        continue
                    }
                    var position = Value.int(Int64(index))
                    frame.locals[second] = Local(base + index)
                    let goesOn = try withUnsafePointer(to: &position) { (pointer) throws(Fault) in
                        frame.locals[loop.first] = Local(pointer)
                        return try body(&frame)
                    }
                    if !goesOn { break }
                }
            }
        case .map(let map):
            for position in 0..<map.count {
                try frame.charge(loop.weight, span)
                var (key, value) = map.entry(position)
                let goesOn = try withUnsafePointer(to: &key) { (keyPointer) throws(Fault) in
                    try withUnsafePointer(to: &value) { (valuePointer) throws(Fault) in
                        frame.locals[loop.first] = Local(keyPointer)
                        if let second = loop.second { frame.locals[second] = Local(valuePointer) }
                        return try body(&frame)
                    }
                }
                if !goesOn { break }
            }
        default:
            throw Fault(noOverload: "comprehension", [collection.kind], range.span)
        }
        frame.locals[loop.first] = .unbound
        if let second = loop.second { frame.locals[second] = .unbound }
    }
}

/// `all` and `exists`: one deciding element decides whatever errors the others give.
final class QuantifierOperation: Operation, @unchecked Sendable {
    let range: Operation, predicate: Operation
    let loop: Loop
    let isAll: Bool

    init(isAll: Bool, range: Operation, loop: Loop, predicate: Operation, span: Span) {
        self.isAll = isAll
        self.range = range
        self.loop = loop
        self.predicate = predicate
        super.init(span: span)
    }

    override var operands: [Operation] { [range, predicate] }

    override func truth(_ frame: inout Frame) -> Program.Truth {
        let deciding: Program.Truth = isAll ? .no : .yes
        var result: Program.Truth = isAll ? .yes : .no
        do throws(Fault) {
            try forEach(range, loop, &frame) { (frame) throws(Fault) in
                let truth = predicate.truth(&frame)
                if truth == deciding {
                    result = deciding
                    return false
                }
                if truth == .error || truth == .missing && result != .error { result = truth }
                return true
            }
        } catch {
            return error.truth
        }
        return result
    }

    /// The comparison of the element that decided, else of the last one.
    override func decidingComparison(_ frame: inout Frame) -> DecidingComparison? {
        let deciding: Program.Truth = isAll ? .no : .yes
        var found: DecidingComparison?
        try? forEach(range, loop, &frame) { (frame) throws(Fault) in
            let truth = predicate.truth(&frame)
            if truth.isDefinite { found = predicate.decidingComparison(&frame) ?? found }
            return truth != deciding
        }
        return found
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var pending: Fault?
        var isDecided = false
        try forEach(range, loop, &frame) { (frame) throws(Fault) in
            do throws(Fault) {
                let value = try predicate.value(&frame)
                guard case .bool(let flag) = value else { throw Fault(noOverload: isAll ? "all" : "exists", [value.kind], predicate.span) }
                if flag != isAll {
                    isDecided = true
                    return false
                }
            } catch {
                // A spent budget is not an error of one element: nothing may go on.
                if error.code == .limit { throw error }
                if pending == nil || pending?.code == .missingName && error.code != .missingName { pending = error }
            }
            return true
        }
        if isDecided { return .bool(!isAll) }
        if let pending { throw pending }
        return .bool(isAll)
    }
}

/// `exists_one`: any error is an error.
final class ExistsOneOperation: Operation, @unchecked Sendable {
    let range: Operation, predicate: Operation
    let loop: Loop

    init(range: Operation, loop: Loop, predicate: Operation, span: Span) {
        self.range = range
        self.loop = loop
        self.predicate = predicate
        super.init(span: span)
    }

    override var operands: [Operation] { [range, predicate] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var count = 0
        try forEach(range, loop, &frame) { (frame) throws(Fault) in
            if try predicate.flag(&frame, "exists_one") { count += 1 }
            return true
        }
        return .bool(count == 1)
    }
}

extension Operation {
    fileprivate func flag(_ frame: inout Frame, _ name: String) throws(Fault) -> Bool {
        let value = try value(&frame)
        guard case .bool(let flag) = value else { throw Fault(noOverload: name, [value.kind], span) }
        return flag
    }
}

/// `map`, `filter` and `transformList`: a list of what `transform` gives (the element itself when there is none) where `filter` holds.
final class TransformListOperation: Operation, @unchecked Sendable {
    let name: String
    let range: Operation
    let filter: Operation?, transform: Operation?
    let loop: Loop

    init(_ name: String, range: Operation, loop: Loop, filter: Operation?, transform: Operation?, span: Span) {
        self.name = name
        self.range = range
        self.loop = loop
        self.filter = filter
        self.transform = transform
        super.init(span: span)
    }

    override var operands: [Operation] { [range] + [filter, transform].compactMap(\.self) }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var result: [Value] = []
        try forEach(range, loop, &frame) { (frame) throws(Fault) in
            if let filter, try !filter.flag(&frame, name) { return true }
            try frame.allocate(MemoryLayout<Value>.stride, span)
            if let transform {
                result.append(try transform.value(&frame))
            } else if let pointer = frame.locals[loop.first].pointer {
                result.append(pointer.pointee)
            }
            return true
        }
        return .list(result)
    }
}

/// `transformMap` and `transformMapEntry`.
final class TransformMapOperation: Operation, @unchecked Sendable {
    let name: String
    let range: Operation
    let filter: Operation?, transform: Operation
    let loop: Loop
    /// The transform gives a map whose entries are merged, instead of the value under the same key.
    let isEntry: Bool

    init(_ name: String, range: Operation, loop: Loop, filter: Operation?, transform: Operation, isEntry: Bool, span: Span) {
        self.name = name
        self.range = range
        self.loop = loop
        self.filter = filter
        self.transform = transform
        self.isEntry = isEntry
        super.init(span: span)
    }

    override var operands: [Operation] { [range] + [filter, transform].compactMap(\.self) }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        var builder = CELMap.Builder(capacity: 0)
        try forEach(range, loop, &frame) { (frame) throws(Fault) in
            if let filter, try !filter.flag(&frame, name) { return true }
            let value = try transform.value(&frame)
            if isEntry {
                guard case .map(let map) = value else { throw Fault(noOverload: name, [value.kind], transform.span) }
                for position in 0..<map.count {
                    let entry = map.storage.entry(position)
                    try frame.charge(1, span)
                    try frame.chargeKey(entry.key, span)
                    try frame.allocate(MemoryLayout<CELMap.Entry>.stride, span)
                    try builder.put(entry.key, entry.value, transform.span)
                }
            } else if let key = frame.locals[loop.first].pointer?.pointee {
                try frame.chargeKey(key, span)
                try frame.allocate(MemoryLayout<CELMap.Entry>.stride, span)
                try builder.put(key, value, transform.span)
            }
            return true
        }
        return .map(builder.build())
    }
}

/// `sortBy`: the elements in the order of their keys.
final class SortByOperation: Operation, @unchecked Sendable {
    let range: Operation, key: Operation
    let loop: Loop

    init(range: Operation, loop: Loop, key: Operation, span: Span) {
        self.range = range
        self.loop = loop
        self.key = key
        super.init(span: span)
    }

    override var operands: [Operation] { [range, key] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let collection = try range.value(&frame)
        guard case .list = collection else { throw Fault(noOverload: "sortBy", [collection.kind], range.span) }
        var elements: [Value] = []
        var keys: [Value] = []
        try forEach(range, loop, &frame) { (frame) throws(Fault) in
            guard let pointer = frame.locals[loop.first].pointer else { return false }
            let key = try key.value(&frame)
            try frame.allocate(2 * MemoryLayout<Value>.stride, span)
            keys.append(key)
            elements.append(pointer.pointee)
            return true
        }
        return .list(try sorted(elements, by: keys, &frame, "sortBy", span))
    }
}

/// `cel.bind` and `optMap`'s variable: evaluated when the body first needs it, at most once.
final class BindOperation: Operation, @unchecked Sendable {
    let index: Int
    let initial: Operation, body: Operation

    init(_ index: Int, initial: Operation, body: Operation, span: Span) {
        self.index = index
        self.initial = initial
        self.body = body
        super.init(span: span)
    }

    override var operands: [Operation] { [initial, body] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        // Evaluated at once, an error kept aside: a body that never reads the variable must not see it.
        var bound: Value
        do throws(Fault) {
            bound = try initial.value(&frame)
        } catch {
            if error.code == .limit { throw error }
            bound = .opaque(DeferredFault(error))
        }
        defer { frame.locals[index] = .unbound }
        return try withUnsafePointer(to: &bound) { (pointer) throws(Fault) in
            frame.locals[index] = Local(pointer)
            return try body.value(&frame)
        }
    }
}

/// An error bound to a variable: it is thrown where the variable is read.
final class DeferredFault: OpaqueValue {
    let fault: Fault

    init(_ fault: Fault) { self.fault = fault }

    var typeName: CELTypeName { CELTypeName("error") }
    func isEqual(to other: any OpaqueValue) -> Bool { false }
    var text: String? { nil }
}

/// A variable of `cel.bind` or `cel.block`, which may hold an error.
final class BoundOperation: Operation, @unchecked Sendable {
    let index: Int

    init(_ index: Int, span: Span) {
        self.index = index
        super.init(span: span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        guard let pointer = frame.locals[index].pointer else { throw Fault(.host, span, "a variable is used outside its scope") }
        if case .opaque(let opaque) = pointer.pointee, let deferred = opaque as? DeferredFault { throw deferred.fault }
        return pointer.pointee
    }
}

/// `o.optMap(x, t)` and `o.optFlatMap(x, t)`.
final class OptionalMapOperation: Operation, @unchecked Sendable {
    let index: Int
    let target: Operation, transform: Operation
    let isFlat: Bool

    init(_ index: Int, target: Operation, transform: Operation, isFlat: Bool, span: Span) {
        self.index = index
        self.target = target
        self.transform = transform
        self.isFlat = isFlat
        super.init(span: span)
    }

    override var operands: [Operation] { [target, transform] }

    override func value(_ frame: inout Frame) throws(Fault) -> Value {
        let value = try target.value(&frame)
        guard case .optional(let optional) = value else { throw Fault(noOverload: isFlat ? "optFlatMap" : "optMap", [value.kind], span) }
        guard var wrapped = optional.wrapped else { return value }
        defer { frame.locals[index] = .unbound }
        let result = try withUnsafePointer(to: &wrapped) { (pointer) throws(Fault) in
            frame.locals[index] = Local(pointer)
            return try transform.value(&frame)
        }
        guard isFlat else { return .optional(OptionalValue(result)) }
        guard case .optional = result else { throw Fault(noOverload: "optFlatMap", [result.kind], transform.span) }
        return result
    }
}

/// Elements in the order of their keys, which must be of one comparable kind; equal keys keep their order.
func sorted(_ elements: [Value], by keys: [Value], _ frame: inout Frame, _ name: String, _ span: Span) throws(Fault) -> [Value] {
    guard let first = keys.first else { return [] }
    // Each key is compared once a round, and many keys may be one long text.
    var comparison = keys.count
    for key in keys {
        switch key {
        case .string(let text): comparison &+= text.utf8.count / 32
        case .bytes(let octets): comparison &+= octets.count / 32
        default: break
        }
    }
    var rounds = 1
    while 1 << rounds < keys.count { rounds += 1 }
    try frame.charge(comparison &* rounds, span)
    for key in keys where key.kind != first.kind || key.order(to: key) == nil {
        throw Fault(noOverload: name, [first.kind, key.kind], span)
    }
    try frame.allocate(listBytes(keys.count), span)
    let order = keys.indices.sorted { a, b in
        switch keys[a].order(to: keys[b]) {
        case .less: true
        case .greater: false
        default: a < b
        }
    }
    return order.map { elements[$0] }
}
