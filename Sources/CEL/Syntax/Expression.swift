/// A parsed expression: its source text and its syntax tree. Macros are not expanded, so printing gives back what was written.
public struct Expression: Sendable {
    /// The text all spans of the tree refer to.
    public let source: String
    public let root: Node

    public init(source: String, root: Node) {
        self.source = source
        self.root = root
    }

    /// The part of the source this expression was read from; for an argument of a call, that argument's text.
    public var text: String {
        let bytes = source.utf8
        guard root.span.start >= 0, root.span.start <= root.span.end, root.span.end <= bytes.count else { return description }
        let start = bytes.index(bytes.startIndex, offsetBy: root.span.start)
        let end = bytes.index(start, offsetBy: root.span.end - root.span.start)
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// One node of the syntax tree.
    public struct Node: Sendable {
        public var kind: Kind
        public var span: Span
        /// The longest way down from here; bounded by `Limits.depth`, so that walking a tree cannot exhaust the stack.
        let height: Int

        public init(_ kind: Kind, span: Span) {
            self.kind = kind
            self.span = span
            height = 1 + kind.childrenHeight
        }
    }

    /// What a node is.
    public indirect enum Kind: Sendable {
        /// null, a bool, a number, a string or bytes.
        case literal(Value)
        /// `x`, or `.x` (rooted: looked up outside every scope and container).
        case name(String, isRooted: Bool)
        /// `operand.field`, `operand.?field`.
        case select(Node, Field)
        /// `operand[index]`, `operand[?index]`.
        case index(Node, Node, isOptional: Bool)
        case call(Call)
        case negate(Node)
        case not(Node)
        case binary(BinaryOperator, Node, Node)
        /// Two or more terms joined by one operator: `a && b && c` is one node.
        case logical(LogicalOperator, [Node])
        case conditional(Node, Node, Node)
        case list([Element])
        case map([Entry])
        /// `name.of.Type{field: value}`; parsed so that it can be refused with its place.
        case message(String, [Entry])
        /// Stands where the parser had to skip.
        case invalid
    }

    public struct Field: Sendable {
        public var name: String
        public var span: Span
        public var isOptional: Bool
        public var isQuoted: Bool
    }

    public struct Call: Sendable {
        public var name: String
        public var nameSpan: Span
        public var receiver: Node?
        public var arguments: [Node]
        /// Written with a leading dot: `.f(x)`.
        public var isRooted: Bool
    }

    public struct Element: Sendable {
        public var node: Node
        public var isOptional: Bool
    }

    public struct Entry: Sendable {
        public var key: Node
        public var value: Node
        public var isOptional: Bool
    }
}

public enum LogicalOperator: String, Sendable { case and = "&&", or = "||" }

public enum BinaryOperator: String, Sendable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", remainder = "%"
    case less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
    case equal = "==", notEqual = "!=", `in` = "in"

    var precedence: Int {
        switch self {
        case .less, .lessOrEqual, .greater, .greaterOrEqual, .equal, .notEqual, .in: 3
        case .add, .subtract: 4
        case .multiply, .divide, .remainder: 5
        }
    }
}

extension Expression.Kind {
    /// The nodes directly below, in source order.
    public var children: [Expression.Node] {
        switch self {
        case .literal, .name, .invalid: []
        case .select(let operand, _), .negate(let operand), .not(let operand): [operand]
        case .index(let operand, let key, _): [operand, key]
        case .call(let call): (call.receiver.map { [$0] } ?? []) + call.arguments
        case .binary(_, let left, let right): [left, right]
        case .logical(_, let terms): terms
        case .conditional(let condition, let yes, let no): [condition, yes, no]
        case .list(let elements): elements.map(\.node)
        case .map(let entries): entries.flatMap { [$0.key, $0.value] }
        case .message(_, let entries): entries.map(\.value)
        }
    }

    fileprivate var childrenHeight: Int {
        switch self {
        case .literal, .name, .invalid: 0
        case .select(let operand, _), .negate(let operand), .not(let operand): operand.height
        case .binary(_, let left, let right): max(left.height, right.height)
        default: children.reduce(0) { max($0, $1.height) }
        }
    }
}

extension Expression {
    /// The names that the expression takes from outside, sorted: identifiers that no comprehension or `cel.bind` around them introduces.
    /// Receivers of namespaced functions (`math` in `math.abs(x)`) are among them, since only an environment can tell them apart.
    public var freeNames: [String] {
        var found: Set<String> = []
        root.collectFreeNames(bound: [], into: &found)
        return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

extension Expression.Node {
    fileprivate func collectFreeNames(bound: Set<String>, into found: inout Set<String>) {
        switch kind {
        case .name(let name, let isRooted):
            if isRooted || !bound.contains(name) { found.insert(name) }
        case .call(let call):
            let variables = call.boundVariables
            guard !variables.isEmpty else { break }
            call.receiver?.collectFreeNames(bound: bound, into: &found)
            let inner = bound.union(variables.map(\.name))
            for (index, argument) in call.arguments.enumerated() where !variables.contains(where: { $0.position == index }) {
                let isOutside = call.name == "bind" && index == 1
                argument.collectFreeNames(bound: isOutside ? bound : inner, into: &found)
            }
            return
        default: break
        }
        for child in kind.children { child.collectFreeNames(bound: bound, into: &found) }
    }
}

extension Expression.Call {
    /// The variables this call introduces when it is a comprehension macro or `cel.bind`: their names and argument positions.
    var boundVariables: [(name: String, position: Int)] {
        guard receiver != nil else { return [] }
        func variables(_ count: Int) -> [(name: String, position: Int)] {
            var found: [(name: String, position: Int)] = []
            for position in 0..<count {
                guard case .name(let name, isRooted: false) = arguments[position].kind else { return [] }
                found.append((name, position))
            }
            return found
        }
        switch (name, arguments.count) {
        case ("all", 2), ("exists", 2), ("exists_one", 2), ("existsOne", 2), ("map", 2), ("map", 3), ("filter", 2), ("sortBy", 2),
            ("optMap", 2), ("optFlatMap", 2):
            return variables(1)
        case ("all", 3), ("exists", 3), ("exists_one", 3), ("existsOne", 3), ("transformList", 3), ("transformList", 4),
            ("transformMap", 3), ("transformMap", 4), ("transformMapEntry", 3), ("transformMapEntry", 4):
            return variables(2)
        case ("bind", 3):
            if case .name("cel", _)? = receiver?.kind { return variables(1) }
            return []
        default:
            return []
        }
    }
}
