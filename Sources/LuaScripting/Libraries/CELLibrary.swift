internal import CEL
internal import RuleEngine

extension AutomationRuntime {
    private static let conditionKind: Int32 = 2
    private static let instructionsAStep: Int64 = 4
    /// Bytes of texts: what they are compiled to is larger, and outside of the script's memory.
    private static let mostCompiled = 262_144

    func defineCEL(_ automation: Automation) {
        define(automation, "cel.eval") { _, automation, call in
            guard let text = call[0].text else { return .raise("wants an expression first") }
            guard let names = call[1].isNone ? [] : call[1].members else { return .raise("the names must be a table") }
            do throws(CELCondition.Mistake) {
                return Self.evaluate(try automation.condition(text, call), names, call)
            } catch {
                return .raise(error.message)
            }
        }
        define(automation, "cel.compile") { _, automation, call in
            guard let text = call[0].text else { return .raise("wants an expression") }
            guard automation.compiled.count < 1000 else {
                return .raise("a script may compile 1000 expressions; keep what 'compile' gives")
            }
            do throws(CELCondition.Mistake) {
                let condition = try automation.condition(text, call)
                guard automation.compiledLength + condition.length <= Self.mostCompiled else {
                    return .raise("a script may compile \(Self.mostCompiled) bytes of expressions in all; keep what 'compile' gives")
                }
                automation.compiledLength += condition.length
                automation.compiled.append(condition)
            } catch {
                return .raise(error.message)
            }
            return .value(.handle(kind: Self.conditionKind, number: Int64(automation.compiled.count - 1)))
        }
        automation.lua.defineMethod(
            "eval", ofKind: Self.conditionKind, named: "cel",
            guarded(automation, "eval") { _, automation, call in
                guard case .handle(Self.conditionKind, let number) = call[0], automation.compiled.indices.contains(Int(number)) else {
                    return .raise("is a method: call it with ':'")
                }
                guard let names = call[1].isNone ? [] : call[1].members else { return .raise("the names must be a table") }
                return Self.evaluate(automation.compiled[Int(number)], names, call)
            })
    }

    /// A value; or nil and why there is none. Its steps count as instructions.
    private static func evaluate(_ condition: CELCondition, _ names: [LuaValue.Member], _ call: LuaCall) -> LuaAnswer {
        let given = Int(min(Int64(CELCondition.mostSteps), call.instructionsLeft / instructionsAStep))
        var left = given
        let result = condition.evaluate(names, steps: &left)
        // Who has not enough left for it comes to the limit of the run, not of the expression.
        call.charge(left == 0 && given < CELCondition.mostSteps ? call.instructionsLeft + 1 : Int64(given - left) * instructionsAStep)
        return switch result {
        case .success(let value): .value(LuaValue(value))
        case .failure(let mistake): .failed(mistake.message)
        }
    }
}
