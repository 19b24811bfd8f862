/// A function of the language or of one of its extensions.
struct StandardFunction: Sendable {
    enum Style: Sendable { case global, member, either }

    struct Signature: Sendable {
        var parameters: [CELType]
        var result: CELType
    }

    /// Computes the value. It looks at the kinds of its arguments itself and throws `noSuchOverload` for those it does not take.
    enum Body: Sendable {
        case unary(@Sendable (Value, inout Frame, Span) throws(Fault) -> Value)
        case binary(@Sendable (Value, Value, inout Frame, Span) throws(Fault) -> Value)
        case ternary(@Sendable (Value, Value, Value, inout Frame, Span) throws(Fault) -> Value)
        case any(@Sendable ([Value], inout Frame, Span) throws(Fault) -> Value)
    }

    /// With its namespace: `math.abs`.
    let name: String
    let style: Style
    /// What the checker knows of it, the receiver first.
    let signatures: [Signature]
    let body: Body
    /// Whether equal arguments always give equal values; such calls with constant arguments are computed when the expression is compiled.
    let isPure: Bool

    init(_ name: String, _ style: Style, _ signatures: [Signature], _ body: Body, isPure: Bool = true) {
        self.name = name
        self.style = style
        self.signatures = signatures
        self.body = body
        self.isPure = isPure
    }

    var arity: Int {
        switch body {
        case .unary: 1
        case .binary: 2
        case .ternary: 3
        case .any: signatures.first?.parameters.count ?? 0
        }
    }

    func takes(receiver: Bool) -> Bool { style == .either || (style == .member) == receiver }
}

extension StandardFunction.Signature {
    static func of(_ parameters: CELType..., to result: CELType) -> StandardFunction.Signature {
        StandardFunction.Signature(parameters: parameters, result: result)
    }
}

/// All functions by name, one table an extension.
enum StandardLibrary {
    private static func table(_ functions: [StandardFunction]) -> [String: [StandardFunction]] {
        Dictionary(grouping: functions, by: \.name)
    }

    private static let core = table(CoreFunctions.all + ConversionFunctions.all + TimeFunctions.all)
    private static let extensions: [(extension: Extensions, table: [String: [StandardFunction]])] = [
        (.strings, table(StringFunctions.all)), (.math, table(MathFunctions.all)), (.lists, table(ListFunctions.all)),
        (.sets, table(SetFunctions.all)), (.encoders, table(EncoderFunctions.all)), (.optionals, table(OptionalFunctions.all)),
        (.network, table(NetworkFunctions.all)),
    ]

    /// The functions of that name that an environment with these extensions has.
    static func functions(named name: String, _ enabled: Extensions) -> [StandardFunction] {
        var found = core[name] ?? []
        for (flag, table) in extensions where enabled.contains(flag) { found += table[name] ?? [] }
        return found
    }

    /// Every name of a function, for hints.
    static func names(_ enabled: Extensions) -> [String] {
        Array(core.keys) + PatternFunctions.names + extensions.filter { enabled.contains($0.extension) }.flatMap { Array($0.table.keys) }
    }
}
