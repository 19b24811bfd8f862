/// Answers lines of JSON that ask for evaluations: `{"id":…, "expr":"…", "bindings":{name: VALUE}, "container":"…"}` is answered
/// `{"id":…, "value":VALUE}` or `{"id":…, "error":"…"}`. VALUE names its type: `{"int":"1"}`, `{"list":[…]}`, `{"map":[[KEY,VALUE]…]}`, ….
public struct BatchEvaluator: Sendable {
    private let environment: Environment

    public init(arithmetic: Arithmetic, limits: Limits = Limits()) {
        var environment = Environment(arithmetic: arithmetic, extensions: .all, limits: limits, container: "")
        environment.unknownNames = .runtime
        environment.typeChecking = .runtime
        self.environment = environment
    }

    /// The answer to one line, without a line's end. A line that cannot be read is answered with an error, too.
    public func answer(_ line: String) -> String {
        var writer = JSONWriter()
        writer.raw("{\"id\":")
        let request: CELMap
        do throws(JSONReader.Failure) {
            let bytes = Array(line.utf8)
            guard case .map(let map) = try bytes.readJSON() else { throw JSONReader.Failure(offset: 0, message: "not an object") }
            request = map
        } catch {
            writer.raw("null,\"error\":")
            writer.string("the line is not a JSON object: \(error.message) at byte \(error.offset)")
            writer.raw("}")
            return writer.text
        }
        writer.value(request["id"] ?? .null)
        switch evaluate(request) {
        case .success(let value):
            writer.raw(",\"value\":")
            writer.typed(value)
            if writer.isFull {
                var refused = JSONWriter()
                refused.raw("{\"id\":")
                refused.value(request["id"] ?? .null)
                refused.raw(",\"error\":\"the value is too large to be written\"}")
                return refused.text
            }
        case .failure(let failure):
            writer.raw(",\"error\":")
            writer.string(failure.message)
        }
        writer.raw("}")
        return writer.text
    }

    private struct Failure: Error {
        var message: String
    }

    private func evaluate(_ request: CELMap) -> Result<Value, Failure> {
        guard case .string(let source)? = request["expr"] else { return .failure(Failure(message: "'expr' is missing")) }
        var environment = environment
        if case .string(let container)? = request["container"] { environment.container = container }
        var names: [String: Int] = [:]
        var values: [Value] = []
        if case .map(let bindings)? = request["bindings"] {
            for (key, value) in bindings.pairs {
                guard case .string(let name) = key, let value = Value(typed: value) else {
                    return .failure(Failure(message: "a binding has a value that cannot be read"))
                }
                names[name] = values.count
                values.append(value)
            }
        }
        let parsed = environment.parse(source)
        guard let expression = parsed.expression else { return .failure(Failure(message: BatchEvaluator.text(parsed.diagnostics))) }
        let strings = InternedStrings()
        var bound = BoundNames(slots: names)
        let compiled = environment.compile(expression, names: &bound, strings: strings)
        guard let program = compiled.program else { return .failure(Failure(message: BatchEvaluator.text(compiled.diagnostics))) }
        var slots = values.map { Slot(retaining: $0, strings: strings) }
        slots.append(.missing)
        defer { for slot in slots { slot.release() } }
        switch slots.withUnsafeBufferPointer({ buffer in buffer.baseAddress.map { program.evaluate($0) } }) {
        case .value(let value)?: return .success(value)
        case .missing(let name)?: return .failure(Failure(message: "missing name '\(name)'"))
        case .error(let error)?: return .failure(Failure(message: error.message))
        case nil: return .failure(Failure(message: "no slots"))
        }
    }

    private static func text(_ diagnostics: [CELDiagnostic]) -> String {
        diagnostics.filter { $0.severity == .error }.map { "\($0.span.start): \($0.message)" }.joined(separator: "; ")
    }
}

extension [UInt8] {
    fileprivate func readJSON() throws(JSONReader.Failure) -> Value {
        try withUnsafeBufferPointer { (bytes) throws(JSONReader.Failure) in try JSONReader.read(bytes, maximumDepth: 256) }
    }
}

/// Bindings by their names, which may be qualified: the longest that begins a path is the one meant.
struct BoundNames: NameResolver {
    var slots: [String: Int]

    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution {
        var name = ""
        var found: (slot: Int, consumed: Int)?
        for (index, element) in path.enumerated() {
            guard case .name(let part) = element else { break }
            name += (index > 0 ? "." : "") + part
            if let slot = slots[name] { found = (slot, index + 1) }
        }
        guard let found else { return .unknown(nearest: nearest(name, Array(slots.keys)), known: slots.keys.sorted()) }
        return .slot(found.slot, consumed: found.consumed)
    }
}

extension Value {
    /// Reads the typed encoding of ``BatchEvaluator``; nil when it is not one.
    init?(typed value: Value) {
        guard case .map(let map) = value, map.count == 1, let entry = map.pairs.first, case .string(let tag) = entry.key else { return nil }
        switch (tag, entry.value) {
        case ("null", _): self = .null
        case ("bool", .bool(let flag)): self = .bool(flag)
        case ("int", .string(let text)):
            guard let number = Decimal.int(text) else { return nil }
            self = .int(number)
        case ("uint", .string(let text)):
            guard let number = Decimal.uint(text) else { return nil }
            self = .uint(number)
        case ("double", .string(let text)):
            guard let number = Decimal.double(text) else { return nil }
            self = .double(number)
        case ("string", .string): self = entry.value
        case ("bytes", .string(let text)):
            guard let octets = Base64.decode(text) else { return nil }
            self = .bytes(octets)
        case ("list", .list(let elements)):
            let values = elements.compactMap { Value(typed: $0) }
            guard values.count == elements.count else { return nil }
            self = .list(values)
        case ("map", .list(let pairs)):
            var entries: [(key: Value, value: Value)] = []
            for pair in pairs {
                guard case .list(let sides) = pair, sides.count == 2, let key = Value(typed: sides[0]), let value = Value(typed: sides[1])
                else {
                    return nil
                }
                entries.append((key, value))
            }
            guard let map = CELMap(entries) else { return nil }
            self = .map(map)
        case ("timestamp", .string(let text)):
            guard let instant = Timestamp(text) else { return nil }
            self = .timestamp(instant)
        case ("duration", .string(let text)):
            guard let length = DurationText.parse(text) else { return nil }
            self = .duration(nanoseconds: length)
        case ("type", .string(let text)): self = .type(CELTypeName(text))
        default: return nil
        }
    }
}
