---@meta nodesphere
-- What scripts of Node Sphere find, for LuaLS: put this file into the workspace's library.

---@alias duration string|number A text such as "1h30m", or seconds.

---@class Reading
---@field topic string
---@field time number seconds since 1970
---@field received_at number seconds since 1970
---@field retained boolean
---@field payload string the bytes as they came
---@field config table of the device that the capture `device` names
---@field value any when the payload is no JSON object
---@field [string] any members of the payload, and captures of the filter

---@class Alert
---@field alertname string
---@field group string
---@field state "inactive"|"pending"|"firing"|"recovering"|"resolved"|"nodata"
---@field labels table<string, string>
---@field annotations table<string, string>
---@field value any
---@field level string?
---@field id string
---@field device string?
---@field active_at number
---@field changed_at number
---@field reason string

---@class HandlerOptions
---@field mode? "single"|"restart"|"queued"|"parallel"
---@field key? string|string[] captures whose values keep calls apart
---@field max? integer
---@field retained? "use"|"skip"

---@class Automation
local Automation = {}
---@param filter string
---@param handler fun(reading: Reading)
---@param options? HandlerOptions
function Automation:on_reading(filter, handler, options) end
---@param name string
---@param state string
---@param handler fun(alert: Alert)
---@param options? HandlerOptions
---@overload fun(self: Automation, name: string, handler: fun(alert: Alert), options?: HandlerOptions)
function Automation:on_alert(name, state, handler, options) end
---@class Timer
local Timer = {}
--- Stops what `after`, `every` or `cron` has begun: it is not called any more. False when nothing was to come.
---@return boolean
function Timer:cancel() end

---@param interval duration
---@param handler fun()
---@param options? HandlerOptions
---@return Timer
function Automation:every(interval, handler, options) end
---@param expression string
---@param handler fun()
---@param options? HandlerOptions
---@return Timer
function Automation:cron(expression, handler, options) end
---@param handler fun(reason: "start"|"reload"|"recovery")
function Automation:on_start(handler) end
---@param handler fun()
function Automation:on_stop(handler) end
---@param name string
---@param handler fun(data: any)
---@param options? HandlerOptions
function Automation:on_schedule(name, handler, options) end

---@class ActionOptions
---@field mode? "single"|"restart"|"queued"|"parallel"
---@field max? integer

--- Offers a function to the actions of rules.
---@param name string
---@param handler fun(alert: Alert, arguments: table<string, any>)
---@param options? ActionOptions
function Automation:action(name, handler, options) end

---@param settings { name?: string, description?: string }
---@return Automation
function automation(settings) end

---@param interval duration
---@param handler fun()
---@param options? HandlerOptions
---@return Timer
function every(interval, handler, options) end
---@param expression string
---@param handler fun()
---@param options? HandlerOptions
---@return Timer
function cron(expression, handler, options) end
---@param delay duration
---@param handler fun()
---@return Timer
function after(delay, handler) end
---@param at number|string seconds since 1970, RFC 3339, or a duration from now
---@param name string
---@param data? any
function schedule(at, name, data) end
---@param length duration
function sleep(length) end
---@param filter string
---@param options? { timeout?: duration, where?: string }
---@return Reading?
function wait_for(filter, options) end
---@param notification { receiver: string, summary: string, description?: string, severity?: string, labels?: table<string, string> }
function notify(notification) end

---Stored and restored.
---@type table
state = {}

mqtt = {}
---@param topic string
---@param payload? string|number|boolean|table
---@param options? { qos?: 0|1|2, retain?: boolean }
function mqtt.publish(topic, payload, options) end
---@param topic string
---@return Reading?
function mqtt.latest(topic) end

device = {}
---@param id string
---@return table?
function device.config(id) end
---@param id string
---@param patch table
---@return true?, string?
function device.set_config(id, patch) end
---@param wanted { labels?: table<string, string> }
---@return { id: string, config: table, labels: table<string, string> }[]
function device.find(wanted) end

vars = {}
---The value of a variable of the rules.
---@param name string
---@return any
function vars.get(name) end
---Nil removes it.
---@param name string
---@param value any
---@return true?, string?
function vars.set(name, value) end

alerts = {}
---@param wanted { alertname?: string, state?: string, labels?: table<string, string> }
---@return Alert[]
function alerts.list(wanted) end
---Fires an alert of the script's own, or changes severity, annotations and value of the one that fires.
---@param alert { alertname: string, labels?: table<string, string>, annotations?: table<string, string>, severity?: string, value?: number|string|boolean }
---@return string id
function alerts.raise(alert) end
---@param wanted { alertname?: string, labels?: table<string, string> }
function alerts.resolve(wanted) end
---No reminders of an alert that fires, and nothing told of what is no worse, until it is over or the time is.
---@param alert Alert|string an alert, or its id
---@param options? { duration?: duration, comment?: string, by?: string }
function alerts.acknowledge(alert, options) end
---Hides alerts that agree with all matchers from receivers.
---@param silence { matchers: string|string[]|table<string, string>, duration: duration, comment?: string, by?: string }
---@return string id
function alerts.silence(silence) end
---@param id string
function alerts.end_silence(id) end

---@class HTTPOptions
---@field headers? table<string, string>
---@field body? string|table a table is sent as JSON
---@field timeout? duration at most 60 s

---@class HTTPAnswer
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string

http = {}
---@param url string
---@param options? HTTPOptions
---@return HTTPAnswer?, string? problem
function http.get(url, options) end
---@param url string
---@param options? HTTPOptions
---@return HTTPAnswer?, string? problem
function http.post(url, options) end
---@param request { method?: "GET"|"POST"|"PUT"|"PATCH"|"DELETE", url: string, headers?: table<string, string>, body?: string|table, timeout?: duration }
---@return HTTPAnswer?, string? problem
function http.request(request) end

influx = {}
---One SELECT. A row has `time` (seconds since 1970) and its columns.
---@param query string
---@return { name: string, tags: table<string, string>, rows: table[] }[]?, string? problem
function influx.query(query) end
---@param measurement string
---@param tags table<string, string>?
---@param fields table<string, number|string|boolean>
---@return true?, string? problem
function influx.write(measurement, tags, fields) end

cel = {}
---@class CELExpression
local CELExpression = {}
---@param names? table
---@return any, string?
function CELExpression:eval(names) end
---@param expression string
---@return CELExpression
function cel.compile(expression) end
---@param expression string
---@param names? table
---@return any, string?
function cel.eval(expression, names) end

log = {}
function log.debug(...) end
function log.info(...) end
function log.warning(...) end
function log.error(...) end

json = {}
---JSON's null.
json.null = nil
---@param value any
---@return string
function json.encode(value) end
---@param text string
---@return any, string?
function json.decode(text) end

base64 = {}
---@param text string
---@return string
function base64.encode(text) end
---@param text string
---@return string?, string?
function base64.decode(text) end

clock = {}
---@return number
function clock.now() end
---@param seconds? number
---@return string
function clock.iso(seconds) end
---@param text string
---@return number?, string?
function clock.parse(text) end
---@param from string
---@param to string
---@return boolean
function clock.between(from, to) end
---@return boolean
function clock.is_day() end
---@return boolean
function clock.is_night() end
---Degrees.
---@return number
function clock.sun_elevation() end
---@return number
function clock.next_sunrise() end
---@return number
function clock.next_sunset() end
