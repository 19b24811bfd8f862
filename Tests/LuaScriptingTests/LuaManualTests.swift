import Foundation
import LuaScripting
import RuleEngine
import Testing

/// `docs/lua.md` and what is shipped: examples do what they say.
@Suite struct LuaManualTests {
    private static let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardized

    private static func file(_ path: String) throws -> String { try String(contentsOf: root.appending(path: path), encoding: .utf8) }

    @Test func `every example of the manual gives what its comments expect`() throws {
        let blocks = try Self.file("docs/lua.md").split(separator: "```lua\n").dropFirst().compactMap { $0.split(separator: "```").first }
        #expect(blocks.count >= 5)
        for block in blocks {
            let lines = block.split(separator: "\n")
            func marked(_ mark: String) -> [String] { lines.filter { $0.hasPrefix(mark) }.map { String($0.dropFirst(mark.count)) } }
            let expected = marked("-- expect: ")
            #expect(!expected.isEmpty)
            var settings = AutomationSettings()
            settings.hosts = [HostPattern("*")].compactMap { $0 }
            let answers = try marked("-- http: ").map(Self.reply) + marked("-- influx: ").map(Self.rows)
            let stage = Stage(String(block), settings: settings) { request in answers.lazy.compactMap { $0(request) }.first }
            for (number, reading) in marked("-- reading: ").enumerated() {
                let space = try #require(reading.firstIndex(of: " "))
                stage.reading(String(reading[..<space]), String(reading[reading.index(after: space)...]), at: Int64(number))
            }
            for action in marked("-- action: ") {
                let space = try #require(action.firstIndex(of: " "))
                let arguments = try Document(json: Array(action[space...].utf8))
                stage.act("fan", String(action[..<space]), "a", arguments, at: 0)
            }
            stage.pass(to: 3600)
            #expect(stage.published == expected)
        }
    }

    @Test func `the shipped vent opens on a warm night only, and closes`() throws {
        let text = try Self.file("rules/automations/night-vent.lua")
        let stage = Stage(text)
        stage.reading("greenhouses/n/b1/temperature", "27", at: 12 * 3600)
        stage.reading("greenhouses/n/b1/temperature", "20", at: 23 * 3600)
        stage.reading("greenhouses/n/b1/humidity", "27", at: 23 * 3600 + 1)
        stage.reading("greenhouses/n/b1/temperature", "27", at: 23 * 3600 + 2)
        stage.end(at: 24 * 3600)
        #expect(stage.published == ["82802 greenhouses/n/b1/vent/set OPEN", "83402 greenhouses/n/b1/vent/set CLOSE"])
        #expect(stage.rehearsal.runtime.state(of: "night-vent") == ["openings": 1])
    }

    private typealias Answer = (ScriptRequest) -> ScriptAnswer?

    /// `GET URL STATUS BODY`
    private static func reply(_ text: String) throws -> Answer {
        let parts = text.split(separator: " ", maxSplits: 3).map(String.init)
        let status = try #require(Int(parts[2]))
        return { request in
            guard case .http(let call) = request, call.method == parts[0], call.url == parts[1] else { return nil }
            return .response(status: status, headers: [], body: Array(parts[3].utf8))
        }
    }

    /// `QUERY => ROW`
    private static func rows(_ text: String) throws -> Answer {
        let parts = text.components(separatedBy: " => ")
        let row = try Document(json: parts[1])
        return { request in
            guard case .query(parts[0]) = request else { return nil }
            return .value([["name": "", "tags": .emptyObject, "rows": [row]]])
        }
    }

    /// Every function that scripts find and Lua does not have, as `name`, `library.name` and `Automation:method`.
    private static func functions() throws -> Set<String> {
        let stage = Stage(
            """
            local lua = { coroutine = 1, math = 1, string = 1, table = 1, utf8 = 1, os = 1, state = 1, _G = 1 }
            for _, name in ipairs { "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget",
              "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall",
              -- There to say that they are not.
              "collectgarbage", "dofile", "load", "loadfile", "loadstring", "require", "warn" } do lua[name] = 1 end
            local names = {}
            for k, v in pairs(_G) do
              if type(v) == "function" and not lua[k] then names[#names + 1] = k end
              if type(v) == "table" and not lua[k] then
                for name, f in pairs(v) do if type(f) == "function" then names[#names + 1] = k .. "." .. name end end
              end
            end
            local a = automation {}
            for _, name in ipairs { "on_reading", "on_alert", "on_start", "on_stop", "on_schedule", "every", "cron", "action" } do
              if pcall(function() return a[name] end) and a[name] then names[#names + 1] = "Automation:" .. name end
            end
            if after("1d", print).cancel then names[#names + 1] = "Timer:cancel" end
            a:on_start(function() log.info(table.concat(names, " ")) end)
            """)
        return Set(try #require(stage.lines.first).split(separator: " ").dropFirst(2).map(String.init))
    }

    @Test func `stub, manual and what scripts find name the same functions`() throws {
        let functions = try Self.functions()
        #expect(functions.isSuperset(of: ["sleep", "http.get", "influx.write", "alerts.raise", "Automation:on_reading"]))
        let stub = try Self.file("docs/nodesphere.lua").split(separator: "\n").filter { $0.hasPrefix("function ") }.map {
            String($0.dropFirst("function ".count).prefix { $0 != "(" })
        }
        let stubbed = Set(stub.filter { !$0.hasPrefix("CELExpression") })
        #expect(stubbed == functions, "only one has: \(stubbed.symmetricDifference(functions).sorted())")
        let manual = try Self.file("docs/lua.md")
        for name in functions {
            let shown = name.replacingOccurrences(of: "Automation:", with: "a:").replacingOccurrences(of: "Timer:", with: "timer:")
            #expect(manual.contains("`\(shown)") || manual.contains(" \(shown) {"), "\(name)")
        }
    }
}
