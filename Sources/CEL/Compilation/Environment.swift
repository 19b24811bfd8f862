/// How numbers of different types meet.
public enum Arithmetic: Sendable, Hashable {
    /// As the CEL specification says: `+ - * / %` never mix types.
    case strict
    /// An int or uint that meets a double is converted, `%` works on doubles, a string that is wholly a JSON number counts as that number
    /// beside a number, and `has(name)` works on a bare name.
    case promoting
}

/// The optional libraries of functions and macros.
public struct Extensions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let strings = Extensions(rawValue: 1 << 0)
    public static let math = Extensions(rawValue: 1 << 1)
    public static let lists = Extensions(rawValue: 1 << 2)
    public static let sets = Extensions(rawValue: 1 << 3)
    public static let encoders = Extensions(rawValue: 1 << 4)
    public static let optionals = Extensions(rawValue: 1 << 5)
    public static let bindings = Extensions(rawValue: 1 << 6)
    public static let twoVariableComprehensions = Extensions(rawValue: 1 << 7)
    public static let regex = Extensions(rawValue: 1 << 8)
    public static let network = Extensions(rawValue: 1 << 9)
    /// `cel.block`, which optimizers write and people do not.
    public static let block = Extensions(rawValue: 1 << 10)

    public static let none: Extensions = []
    public static let all = Extensions(rawValue: (1 << 11) - 1)
}

/// Bounds that keep any expression from hanging or exhausting the process.
public struct Limits: Sendable, Hashable {
    /// Bytes of source text.
    public var sourceLength: Int
    /// Levels of the syntax tree.
    public var depth: Int
    /// Nodes of the syntax tree, macros and inlined names expanded.
    public var nodes: Int
    /// Node evaluations inside comprehensions, elements compared and bytes searched of one evaluation.
    public var steps: Int
    /// Bytes of all strings, lists and maps built in one evaluation.
    public var memory: Int
    /// Bytes a compiled regular expression may take.
    public var patternMemory: Int

    public init(
        sourceLength: Int = 65_536, depth: Int = 160, nodes: Int = 20_000, steps: Int = 5_000_000, memory: Int = 33_554_432,
        patternMemory: Int = 1_048_576
    ) {
        self.sourceLength = sourceLength
        self.depth = depth
        self.nodes = nodes
        self.steps = steps
        self.memory = memory
        self.patternMemory = patternMemory
    }
}

/// The dialect expressions are written in: arithmetic, extensions, limits, and what a host adds.
public struct Environment: Sendable {
    /// What a name that the resolver does not know means.
    public enum UnknownNames: Sendable, Hashable {
        /// A diagnostic `unknown-name`; nothing is compiled.
        case error
        /// An error of the evaluation, absorbed like any other: `nosuch || true` is true.
        case runtime
    }

    /// What operands that can never fit their operator or function mean.
    public enum TypeChecking: Sendable, Hashable {
        /// A diagnostic `no-such-overload`; nothing is compiled.
        case error
        /// An error of the evaluation.
        case runtime
    }

    public var arithmetic: Arithmetic
    public var extensions: Extensions
    public var limits: Limits
    /// The scope in which names are looked up: in `a.b`, `x` may mean `a.b.x`, `a.x` or `x`.
    public var container: String
    public var unknownNames: UnknownNames = .error
    public var typeChecking: TypeChecking = .error
    /// Functions that the names of an expression resolve, for the hint at a misspelt one.
    public var resolvedFunctions: [String] = []
    private(set) var functions: [String: [Function]] = [:]
    private(set) var macros: [String: [Macro]] = [:]

    public init(
        arithmetic: Arithmetic = .strict, extensions: Extensions = .all, limits: Limits = Limits(), container: String = ""
    ) {
        self.arithmetic = arithmetic
        self.extensions = extensions
        self.limits = limits
        self.container = container
    }

    /// Adds a function of the host; it is found before a standard one of the same name, style and number of arguments.
    public mutating func add(_ function: Function) {
        functions[function.name, default: []].append(function)
    }

    /// Adds a macro of the host: a call that is rewritten before it is compiled.
    public mutating func add(_ macro: Macro) {
        macros[macro.name, default: []].append(macro)
    }

    /// Reads an expression. Never fails otherwise than by diagnostics, whatever the text.
    public func parse(_ source: String) -> ParseResult {
        guard source.utf8.count <= limits.sourceLength else {
            let span = Span(start: limits.sourceLength, end: source.utf8.count)
            let message = "an expression may have at most \(limits.sourceLength) bytes"
            return ParseResult(expression: nil, diagnostics: [CELDiagnostic(span: span, code: "limit", message: message)])
        }
        var parser = Parser(source, limits: limits, allowsOptionalSyntax: extensions.contains(.optionals))
        return parser.parse()
    }
}

/// A function that a host adds.
public struct Function: Sendable {
    public enum Style: Sendable, Hashable {
        /// `f(x, y)`; the name may have a namespace: `geo.distance`.
        case global
        /// `x.f(y)`; the receiver is the first parameter.
        case member
    }

    public var name: String
    public var style: Style
    /// Types of the parameters, the receiver first; `.dyn` takes anything.
    public var parameters: [CELType]
    public var result: CELType
    /// Looks at the arguments that are constants, before anything is evaluated: `nil` stands for one that is not.
    public var checkArguments: @Sendable ([Value?], [Span]) -> [CELDiagnostic]
    /// Computes the value; the arguments have the parameters' types. A message thrown becomes the evaluation's error.
    public var body: @Sendable ([Value]) throws(FunctionFailure) -> Value

    public init(
        _ name: String, _ style: Style = .global, _ parameters: [CELType], _ result: CELType,
        checkArguments: @escaping @Sendable ([Value?], [Span]) -> [CELDiagnostic] = { _, _ in [] },
        body: @escaping @Sendable ([Value]) throws(FunctionFailure) -> Value
    ) {
        self.name = name
        self.style = style
        self.parameters = parameters
        self.result = result
        self.checkArguments = checkArguments
        self.body = body
    }
}

/// Why a host's function has no value for its arguments.
public struct FunctionFailure: Error, Sendable {
    public var message: String
    /// Whether there is nothing to compute it of, which is as a name that is not there: no mistake.
    public var isMissing: Bool

    public init(_ message: String, isMissing: Bool = false) {
        self.message = message
        self.isMissing = isMissing
    }
}

/// A macro that a host adds: it replaces a call by another piece of syntax.
public struct Macro: Sendable {
    public var name: String
    public var style: Function.Style
    public var argumentCount: Int
    /// The replacement; its nodes should keep the spans of the call so that errors point into the source.
    public var expand: @Sendable (Expression.Call, Span) throws(MacroFailure) -> Expression.Node

    public init(
        _ name: String, _ style: Function.Style = .global, argumentCount: Int,
        expand: @escaping @Sendable (Expression.Call, Span) throws(MacroFailure) -> Expression.Node
    ) {
        self.name = name
        self.style = style
        self.argumentCount = argumentCount
        self.expand = expand
    }
}

/// Why a macro cannot be expanded.
public struct MacroFailure: Error, Sendable {
    public var diagnostics: [CELDiagnostic]
    public init(_ diagnostics: [CELDiagnostic]) { self.diagnostics = diagnostics }
}
