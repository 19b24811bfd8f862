/// The result of compiling: a program when there was no error, and all diagnostics.
public struct CompileResult: Sendable {
    public var program: Program?
    public var diagnostics: [CELDiagnostic]
}

extension Environment {
    /// Checks an expression against a host's names and freezes it into a program. Constants are interned in `strings`, which must not be
    /// read by other threads meanwhile.
    public func compile<Names: NameResolver>(
        _ expression: Expression, names: inout Names, strings: InternedStrings, expecting: CELType? = nil
    ) -> CompileResult {
        var compiler = Compiler(environment: self, source: expression.source, names: names, strings: strings)
        let compiled = compiler.compile(expression.root)
        if let expecting { compiler.expect(compiled, expecting, expression.root.span) }
        if let used = compiler.names as? Names { names = used }
        compiler.diagnostics.sort { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }
        guard !compiler.diagnostics.contains(where: { $0.severity == .error }) else {
            return CompileResult(program: nil, diagnostics: compiler.diagnostics)
        }
        let answers = compiler.answers
        let environment = self
        let program = Program(
            expression: expression, root: compiled.operation, localCount: compiler.localCount, slotsUsed: compiler.slotsUsed.sorted(),
            functionsUsed: compiler.functionsUsed, resultType: compiled.type, strings: strings, limits: limits
        ) {
            var replay = Compiler(
                environment: environment, source: expression.source, names: ReplayedNames(answers), strings: strings, isTracing: true)
            let root = replay.compile(expression.root).operation
            return TracedTree(root: root, localCount: replay.localCount)
        }
        return CompileResult(program: program, diagnostics: compiler.diagnostics)
    }
}

/// What the resolver answered, in the order of its questions, so that an expression can be compiled again without its host.
struct ResolverAnswers: Sendable {
    var names: [NameResolution] = []
    var calls: [CallResolution] = []
}

private struct ReplayedNames: NameResolver {
    var names: ArraySlice<NameResolution>
    var calls: ArraySlice<CallResolution>

    init(_ answers: ResolverAnswers) {
        names = answers.names[...]
        calls = answers.calls[...]
    }

    mutating func resolve(_ path: [PathElement], span: Span) -> NameResolution { names.popFirst() ?? .unknown(nearest: nil, known: []) }
    mutating func call(_ call: HostCall) -> CallResolution { calls.popFirst() ?? .notMine }
}

/// A compiled part: what computes it, and what is known of its type.
struct Compiled {
    var operation: Operation
    var type: CELType
    /// Why it is no bool though its type is not known: "'+' never gives one".
    var whyNoBool: String?

    var constant: Value? { (operation as? ConstantOperation)?.constant }

    /// Why it cannot stand where a bool is needed; nil when it may.
    var refusalAsBool: String? { type.mayBe(.bool) ? whyNoBool : "this is \(type.withArticle)" }

    /// What to do with a value that stands where a condition should.
    var conditionHint: String? {
        switch type {
        case .dyn, .int, .uint, .double, .string, .timestamp, .duration: "compare it with something, by '>' or '=='"
        default: nil
        }
    }
}

/// Turns a syntax tree into a tree of operations: resolves names, expands macros, checks types, folds constants.
struct Compiler {
    struct Variable {
        var name: String
        var index: Int
        var type: CELType
        var whyNoBool: String?
        /// May hold an error (`cel.bind`): reading it must look.
        var isBound: Bool
    }

    let environment: Environment
    /// The text that the spans of the nodes being compiled refer to.
    var source: String
    var names: any NameResolver
    let strings: InternedStrings
    let isTracing: Bool
    let isPromoting: Bool
    var diagnostics: [CELDiagnostic] = []
    var answers = ResolverAnswers()
    var slotsUsed: Set<Int> = []
    var functionsUsed: Set<String> = []
    var localCount = 0
    var scope: [Variable] = []
    var blockTypes: [[Variable]] = []
    /// Constant regular expressions compiled so far: each may take `Limits.patternMemory`.
    var patternCount = 0
    private var nodeCount = 0
    private var depth = 0
    private var inliningDepth = 0
    /// Where a name stands whose expression is being inlined: spans inside it belong to another text.
    private var inlinedAt: Span?
    private var isOverLimit = false

    init(environment: Environment, source: String, names: any NameResolver, strings: InternedStrings, isTracing: Bool = false) {
        self.environment = environment
        self.source = source
        self.names = names
        self.strings = strings
        self.isTracing = isTracing
        isPromoting = environment.arithmetic == .promoting
    }

    /// The span as the outermost source has it.
    func place(_ span: Span) -> Span { inlinedAt ?? span }

    mutating func report(
        _ span: Span, _ code: String, _ message: String, hint: String? = nil, severity: CELDiagnostic.Severity = .error,
        notes: [CELDiagnostic.Note] = []
    ) {
        let placed = notes.map { CELDiagnostic.Note(span: place($0.span), text: $0.text) }
        diagnostics.append(
            CELDiagnostic(span: place(span), severity: severity, code: code, message: message, hint: hint, notes: placed))
    }

    func fault(_ code: EvaluationError.Code, _ message: String, _ span: Span) -> Compiled {
        Compiled(operation: FaultOperation(code, message, span: place(span)), type: .dyn)
    }

    func constant(_ value: Value, _ span: Span) -> Compiled {
        Compiled(operation: ConstantOperation(value, strings: strings, span: place(span)), type: CELType(of: value))
    }

    /// Says that operands can never fit, as the environment wants it said.
    mutating func mismatch(_ span: Span, _ message: String, hint: String? = nil, notes: [CELDiagnostic.Note] = []) {
        guard environment.typeChecking == .error else { return }
        report(span, "no-such-overload", message, hint: hint, notes: notes)
    }

    mutating func expect(_ compiled: Compiled, _ type: CELType, _ span: Span) {
        if type == .bool {
            guard let why = compiled.refusalAsBool else { return }
            report(span, "wrong-type", "a bool is needed here, and \(why)", hint: compiled.conditionHint)
        } else if !compiled.type.mayBe(type) {
            report(span, "wrong-type", "this must be \(type.withArticle), and is \(compiled.type.withArticle)")
        }
    }

    // MARK: nodes

    mutating func compile(_ node: Expression.Node) -> Compiled {
        nodeCount += 1
        depth += 1
        defer { depth -= 1 }
        // Names that stand for expressions, and macros of the host, may nest deeper than any source text.
        if depth > environment.limits.depth + 64 {
            if !isOverLimit {
                report(node.span, "limit", "an expression may be nested at most \(environment.limits.depth) deep, names expanded")
            }
            isOverLimit = true
            return fault(.limit, "nested too deep", node.span)
        }
        if nodeCount > environment.limits.nodes {
            if !isOverLimit {
                report(node.span, "limit", "an expression may have at most \(environment.limits.nodes) parts, names expanded")
            }
            isOverLimit = true
            return fault(.limit, "too many parts", node.span)
        }
        let compiled = folded(compileKind(node), node)
        guard isTracing, inlinedAt == nil else { return compiled }
        return Compiled(
            operation: TraceOperation(compiled.operation, span: node.span), type: compiled.type, whyNoBool: compiled.whyNoBool)
    }

    private mutating func compileKind(_ node: Expression.Node) -> Compiled {
        switch node.kind {
        case .literal(let value): return constant(value, node.span)
        case .name, .select, .index: return compilePath(node)
        case .call(let call): return compileCall(call, node)
        case .negate(let operand): return compileNegation(operand, node)
        case .not(let operand):
            let compiled = compile(operand)
            expectBool(compiled, operand, "!")
            return Compiled(operation: NotOperation(compiled.operation, span: place(node.span)), type: .bool)
        case .binary(let operation, let left, let right): return compileBinary(operation, left, right, node)
        case .logical(let operation, let terms):
            // The parser joins two terms at least; a macro of the host may not.
            guard terms.count > 1 else {
                return terms.first.map { compile($0) } ?? constant(.bool(operation == .and), node.span)
            }
            let compiled = terms.map { term in
                let compiled = compile(term)
                expectBool(compiled, term, operation.rawValue)
                return compiled.operation
            }
            return Compiled(operation: LogicalOperation(operation, compiled, span: place(node.span)), type: .bool)
        case .conditional(let condition, let yes, let no):
            let test = compile(condition)
            expectBool(test, condition, "?:")
            let a = compile(yes)
            let b = compile(no)
            let operation = ConditionalOperation(test.operation, a.operation, b.operation, span: place(node.span))
            let whyNoBool = a.refusalAsBool == nil || b.refusalAsBool == nil ? nil : "neither branch gives one"
            return Compiled(operation: operation, type: a.type.joined(with: b.type), whyNoBool: whyNoBool)
        case .list(let elements): return compileList(elements, node)
        case .map(let entries): return compileMap(entries, node)
        case .message(let name, _):
            report(node.span, "unknown-type", "message '\(name)' cannot be built: this CEL has no protocol buffers")
            return fault(.unknownName, "no message types", node.span)
        case .invalid:
            report(node.span, "syntax", "not an expression")
            return fault(.unknownName, "not an expression", node.span)
        }
    }

    private mutating func expectBool(_ compiled: Compiled, _ node: Expression.Node, _ operation: String) {
        guard let why = compiled.refusalAsBool else { return }
        mismatch(node.span, "'\(operation)' needs a bool, and \(why)", hint: compiled.conditionHint)
    }

    /// Replaces an operation whose operands are all constants by its value; one that fails is left to fail when it is evaluated.
    private func folded(_ compiled: Compiled, _ node: Expression.Node) -> Compiled {
        guard !isTracing, compiled.operation.isFoldable else { return compiled }
        let value: Value? = withUnsafeTemporaryAllocation(of: Slot.self, capacity: 1) { slots in
            slots.initialize(repeating: .missing)
            return withUnsafeTemporaryAllocation(of: Local.self, capacity: 1) { locals in
                locals.initialize(repeating: .unbound)
                // Both buffers have room for one element, so both have a base address.
                var frame = Frame(
                    slots: slots.baseAddress!, locals: locals.baseAddress!, strings: Unmanaged.passUnretained(strings), steps: 10_000,
                    memory: 65_536)
                return try? compiled.operation.value(&frame)
            }
        }
        guard let value else { return compiled }
        let operation = ConstantOperation(value, strings: strings, span: compiled.operation.span)
        return Compiled(
            operation: operation, type: compiled.type == .dyn ? .dyn : CELType(of: value), whyNoBool: compiled.whyNoBool)
    }

    private mutating func compileList(_ elements: [Expression.Element], _ node: Expression.Node) -> Compiled {
        var type: CELType?
        let compiled = elements.map { element in
            let compiled = compile(element.node)
            if element.isOptional, !compiled.type.mayBe(.optional(.dyn)) {
                mismatch(element.node.span, "'?' needs an optional, and this is \(compiled.type.withArticle)")
            }
            var elementType = compiled.type
            if element.isOptional { elementType = if case .optional(let wrapped) = compiled.type { wrapped } else { .dyn } }
            type = type.map { $0.joined(with: elementType) } ?? elementType
            return (operation: compiled.operation, isOptional: element.isOptional)
        }
        return Compiled(operation: ListOperation(compiled, span: place(node.span)), type: .list(type ?? .dyn))
    }

    private mutating func compileMap(_ entries: [Expression.Entry], _ node: Expression.Node) -> Compiled {
        var types: (key: CELType, value: CELType)?
        let compiled = entries.map { entry in
            let key = compile(entry.key)
            let value = compile(entry.value)
            if ![CELType.dyn, .bool, .int, .uint, .string].contains(key.type) {
                mismatch(entry.key.span, "a key must be a string, an int, a uint or a bool, and this is \(key.type.withArticle)")
            }
            if entry.isOptional, !value.type.mayBe(.optional(.dyn)) {
                mismatch(entry.value.span, "'?' needs an optional, and this is \(value.type.withArticle)")
            }
            var valueType = value.type
            if entry.isOptional { valueType = if case .optional(let wrapped) = value.type { wrapped } else { .dyn } }
            types = types.map { ($0.key.joined(with: key.type), $0.value.joined(with: valueType)) } ?? (key.type, valueType)
            return (key: key.operation, value: value.operation, isOptional: entry.isOptional)
        }
        let type = CELType.map(types?.key ?? .dyn, types?.value ?? .dyn)
        return Compiled(operation: MapOperation(compiled, span: place(node.span)), type: type)
    }

    // MARK: inlining

    /// Compiles an expression that a name stands for, outside all scopes, its errors placed at the name.
    mutating func inline(_ expression: Expression, at span: Span) -> Compiled {
        guard inliningDepth < 16 else {
            if !isOverLimit { report(span, "recursive-name", "this name is defined by itself") }
            isOverLimit = true
            return fault(.limit, "a name is defined by itself", span)
        }
        let savedPlace = inlinedAt
        let savedScope = scope
        let savedSource = source
        source = expression.source
        inlinedAt = place(span)
        scope = []
        inliningDepth += 1
        defer {
            inlinedAt = savedPlace
            scope = savedScope
            source = savedSource
            inliningDepth -= 1
        }
        return compile(expression.root)
    }

    // MARK: variables

    /// A new variable, visible until `scope` is cut back.
    mutating func bind(_ name: String, type: CELType, whyNoBool: String? = nil, isBound: Bool = false) -> Int {
        let index = localCount
        localCount += 1
        scope.append(Variable(name: name, index: index, type: type, whyNoBool: whyNoBool, isBound: isBound))
        return index
    }

    func variable(_ name: String) -> Variable? {
        scope.last { $0.name.hasSameBytes(as: name) }
    }

    func read(_ variable: Variable, _ span: Span) -> Compiled {
        let operation =
            variable.isBound ? BoundOperation(variable.index, span: place(span)) : LocalOperation(variable.index, span: place(span))
        return Compiled(operation: operation, type: variable.type, whyNoBool: variable.whyNoBool)
    }

    /// The number of nodes compiled so far: differences of it weigh the body of a comprehension.
    var weight: Int { nodeCount }
}

extension Operation {
    /// Whether all operands are constants and the operation always gives the same for them.
    fileprivate var isFoldable: Bool {
        switch self {
        case is ConstantOperation, is SlotOperation, is LocalOperation, is FaultOperation, is HasSlotOperation, is BoundOperation,
            is QuantifierOperation, is ExistsOneOperation, is TransformListOperation, is TransformMapOperation, is SortByOperation,
            is BindOperation, is OptionalMapOperation, is TraceOperation, is ImpureOperation:
            false
        default:
            operands.allSatisfy { $0 is ConstantOperation }
        }
    }
}

/// Marks calls that must not be computed beforehand.
final class ImpureOperation: Operation, @unchecked Sendable {
    let operand: Operation

    init(_ operand: Operation) {
        self.operand = operand
        super.init(span: operand.span)
    }

    override func value(_ frame: inout Frame) throws(Fault) -> Value { try operand.value(&frame) }
    override func truth(_ frame: inout Frame) -> Program.Truth { operand.truth(&frame) }
    override var operands: [Operation] { [operand] }
}
