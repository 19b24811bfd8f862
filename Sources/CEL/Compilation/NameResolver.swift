/// One step of a name with constant selections: `sensors[0].value` is name, index, name.
public enum PathElement: Hashable, Sendable {
    case name(String)
    case index(Int)
}

/// What a host says a name means.
public enum NameResolution: Sendable {
    /// The value is in the caller's array at this position; `consumed` elements of the path name it, the rest are selections in it.
    case slot(Int, type: CELType = .dyn, consumed: Int)
    case constant(Value, consumed: Int = 1)
    /// The name stands for an expression (`let`), compiled in its place; one element of the path is consumed.
    case expression(Expression)
    /// Nothing by that name; the nearest name for the hint, and all names for the note.
    case unknown(nearest: String?, known: [String])
    /// The name is known and cannot stand here.
    case refused(code: String, message: String, hint: String? = nil)
}

/// A call as a host sees it before the language does: unevaluated.
public struct HostCall: Sendable {
    public var name: String
    public var receiver: Expression?
    public var arguments: [Expression]
    public var span: Span
    public var argumentSpans: [Span]
    /// Variables of the comprehensions around the call: an argument that uses one has no value outside.
    public var localNames: [String]
    /// Constant selections that follow it: of `f(x).a[0]` name and index.
    public var selections: [PathElement] = []
}

/// What a host makes of a call.
public enum CallResolution: Sendable {
    /// The host computes the value before the evaluation and puts it there; it is that of the call with the first `consumed` of the selections.
    case slot(Int, type: CELType = .dyn, consumed: Int = 0)
    case notMine
    case invalid([CELDiagnostic])
}

/// How a host gives names and calls to an expression. It is asked while compiling, never while evaluating.
public protocol NameResolver {
    /// `path` is a maximal chain of constant selections that begins with a free identifier.
    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution
    /// Functions of the host, asked before the language's own.
    mutating func call(_ call: HostCall) -> CallResolution
    /// An expression selects a field by its name from a record, or from something that may be one; what is wrong with that.
    mutating func select(_ field: String, isOfRecord: Bool, span: Span) -> CELDiagnostic?
}

extension NameResolver {
    public mutating func call(_ call: HostCall) -> CallResolution { .notMine }
    public mutating func select(_ field: String, isOfRecord: Bool, span: Span) -> CELDiagnostic? { nil }
}

/// A resolver for expressions without names.
public struct NoNames: NameResolver {
    public init() {}
    public mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution { .unknown(nearest: nil, known: []) }
}
