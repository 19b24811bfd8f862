import CEL

extension Expression.Node {
    /// The tree without its places: equal for two texts that mean the same, whatever parentheses they have.
    var shape: String {
        "\(head)(\(kind.children.map(\.shape).joined(separator: " ")))"
    }

    private var head: String {
        switch kind {
        case .literal(let value): "\(value.typeName.name) \(value)"
        case .name(let name, let isRooted): "\(isRooted ? "." : "")\(name)"
        case .select(_, let field): "select \(field.isOptional ? "?" : "")\(field.isQuoted ? "`" : "")\(field.name)"
        case .index(_, _, let isOptional): isOptional ? "[?]" : "[]"
        case .call(let call): "\(call.isRooted ? "." : "")\(call.name) \(call.receiver == nil ? "of" : "on")"
        case .negate: "-"
        case .not: "!"
        case .binary(let operation, _, _): operation.rawValue
        case .logical(let operation, _): operation.rawValue
        case .conditional: "?:"
        case .list(let elements): "list \(elements.map { $0.isOptional ? "?" : "." }.joined())"
        case .map(let entries): "map \(entries.map { $0.isOptional ? "?" : "." }.joined())"
        case .message(let name, let entries): "message \(name) \(entries.map(\.key.shape))"
        case .invalid: "invalid"
        }
    }
}
